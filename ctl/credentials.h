// Which appd is meant, and how appctl proves there for whom it speaks.
#pragma once

#include <string>

#include "common/result.h"
#include "ctl/surroundings.h"

namespace appd::ctl {

// As it is written: paths, but for the token of APPD_TOKEN. A token is never an argument, which
// every user of a host can read. Empty: not given.
struct Target {
  std::string address;     // "unix:PATH" or "HOST:PORT"
  std::string ca;          // who has signed appd's certificate; empty: whom the system trusts
  std::string cert;        // the caller's own, with
  std::string key;         // its private key
  std::string token_file;  // its first line is the token
  std::string token;

  bool operator==(const Target&) const = default;
};

// What is not given in `target` but in the environment: APPD_CA, APPD_CERT with APPD_KEY,
// APPD_TOKEN_FILE or APPD_TOKEN.
void add_from_environment(Target& target, const Environment& environment);

// What the files hold.
struct Credentials {
  std::string ca;
  std::string cert;
  std::string key;
  std::string token;
};

// The error names the option, and says what to do.
Result<Credentials> read_credentials(const Target& target);

}  // namespace appd::ctl
