// Host checks: the rules of a spec that only this host can judge.
#pragma once

#include <vector>

#include "supervisor/model/app_spec.h"

namespace appd::runtime {

// Directory there and a directory; interpreter there, a file, executable; user and group known,
// and within what this appd may become.
std::vector<model::Violation> check_host(const model::AppSpec& spec);

}  // namespace appd::runtime
