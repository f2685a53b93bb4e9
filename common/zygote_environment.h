// What stands in the environment of a zygote and of all that it starts, besides what the app's spec
// says: by it a later appd knows orphans again (docs/decisions/008).
#pragma once

namespace appd {

inline constexpr char kZygoteVariable[] = "APPD_ZYGOTE";  // unique to the zygote
inline constexpr char kWorkerVariable[] = "APPD_WORKER";  // of a command: the number of the worker

}  // namespace appd
