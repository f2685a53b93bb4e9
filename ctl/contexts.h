// Contexts: names for the appds of several hosts, in a file of the caller's that nobody else may
// write: whoever can, has changes and secrets sent elsewhere.
//
//     current = "shop"
//     [contexts.shop]
//     address = "shop.example:7443"
//     ca = "/home/me/shop-ca.pem"
//     token_file = "/home/me/shop.token"
#pragma once

#include <map>
#include <string>

#include "common/result.h"
#include "ctl/credentials.h"
#include "ctl/surroundings.h"

namespace appd::ctl {

struct Contexts {
  std::string current;                    // empty: none
  std::map<std::string, Target> targets;  // by name; none has a token, only its file

  bool operator==(const Contexts&) const = default;
};

// $XDG_CONFIG_HOME/appd/appctl.toml, else ~/.config/appd/appctl.toml; empty: neither is set.
std::string contexts_path(const Environment& environment);
bool valid_context_name(std::string_view name);

// A file that is not there has none. An Error: it cannot be read, is no such file, or others may
// write it.
Result<Contexts> read_contexts(const std::string& path);
// As a whole or not at all, with mode 0600, making its directory.
Result<void> write_contexts(const std::string& path, const Contexts& contexts);

// What the options and the environment come to. Of the address: --address, --context,
// APPD_ADDRESS, the current context, appd's default; the first that is there. Of each other thing:
// its option, the context that is used, the environment.
Result<Target> choose_target(const Target& given, const std::string& context, unsigned user,
                             const Environment& environment);

}  // namespace appd::ctl
