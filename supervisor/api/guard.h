// Guard: who calls, what they may do, and how often.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>
#include <vector>

#include "supervisor/model/access.h"
#include "supervisor/model/rate_limit.h"
#include "supervisor/model/token.h"
#include "supervisor/reconcile/control.h"
#include "supervisor/runtime/client_gate.h"

namespace appd::api {

using reconcile::Answer;
using reconcile::Rejection;

// What appd was told about its clients.
struct AccessRules {
  std::vector<model::ClientRule> clients;  // by the names of their certificates
  double changes_per_second = 0;           // of each caller; 0: no limit
};

// What a call brings along to say who makes it.
struct Credentials {
  std::vector<std::string> certificate;      // its names; empty: none was shown
  std::optional<std::string> authorization;  // the metadatum
};

struct Identity {
  model::Caller caller;  // without the client program, which each call tells
  model::Rights rights;
  std::string token_hash;  // empty: it came without a token
  std::optional<model::WallTime> expire_time;
};

// API thread only. Borrows the core. Lives as long as appd, so that nobody gets a full bucket by
// connecting anew.
class Guard {
 public:
  Guard(reconcile::Control& control, AccessRules rules)
      : control_(control), clients_(std::move(rules.clients)), changes_(rules.changes_per_second) {}

  // A token that is sent decides, on every entrance; else a certificate; else a unix socket's file,
  // which has let the caller in. Nobody gets more than the entrance allows.
  Answer<Identity> identify(const runtime::Connection& connection, const Credentials& credentials,
                            model::WallTime now) const;
  // Whether the identity may make such calls, by the type of their request,
  std::optional<Rejection> check_role(const Identity& identity,
                                      const google::protobuf::Descriptor& type) const;
  // and then, whether this one now.
  std::optional<Rejection> check(const Identity& identity, const google::protobuf::Message& request,
                                 model::RateLimit::Time now);
  // Why what was believed once is so no more.
  std::optional<Rejection> recheck(const Identity& identity, model::WallTime now) const;

 private:
  Answer<model::Token> token_of(const std::string& hash, model::WallTime now) const;

  reconcile::Control& control_;
  std::vector<model::ClientRule> clients_;
  model::RateLimit changes_;
};

}  // namespace appd::api
