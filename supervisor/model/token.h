// Token: a secret that proves who calls, without the secret. Values only.
#pragma once

#include <optional>
#include <string>

#include "supervisor/model/access.h"
#include "supervisor/model/observed.h"

namespace appd::model {

struct Token {
  std::string id;    // as an app's
  std::string hash;  // SHA-256 of the secret, 64 hexadecimal digits
  Rights rights;
  WallTime create_time;
  std::optional<WallTime> expire_time;  // absent: never
  std::string creator;                  // describe() of the caller

  bool expired(WallTime now) const { return expire_time && *expire_time <= now; }
  bool operator==(const Token&) const = default;
};

inline constexpr std::size_t kMostTokens = 1000;

}  // namespace appd::model
