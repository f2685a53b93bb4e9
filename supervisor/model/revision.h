// Revision: one edit of an app's spec or rollout, as its history keeps it. Values only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "supervisor/model/observed.h"

namespace appd::model {

// Who called.
struct Caller {
  std::optional<std::int64_t> uid;  // absent: not known, or nobody (appd itself)
  std::int32_t pid = 0;
  std::string user;      // the uid's name; empty if the host knows none
  std::string client;    // the program, in its own words (user-agent)
  std::string identity;  // what it has proved: "token ci", "certificate ci.example"; may be empty
  std::string address;   // where it came from by TCP, "10.0.0.7:53230"; else empty

  bool operator==(const Caller&) const = default;
};

// "uid 0 pid 4242 user root client appctl/0.1.0" or "token ci from 10.0.0.7:53230 client …", for a
// log: what is not known is left out.
std::string describe(const Caller& caller);

// Text that a client sent, fit to be stored and shown: printable ASCII, the rest as '?', at most
// 200 bytes.
std::string client_text(std::string_view sent);

struct Revision {
  std::string app;          // id
  std::int64_t number = 0;  // from 1 for each app
  std::int64_t generation = 0;
  std::int64_t rollout = 0;
  AppSpec spec;
  WallTime time;
  Caller caller;
  // "ScaleApp"; empty: appd took back what had failed, or what the caller cancelled
  std::string method;
  std::string reason;     // the caller's words, or why that was taken back
  std::string operation;  // id; empty as the method is
  // How the operation ended, or where it stood when it was stored last.
  OperationPhase outcome = OperationPhase::Applying;
  std::string error_message;
  std::optional<FailureCause> cause;
  std::optional<WallTime> end_time;
  std::int64_t restores = 0;  // the revision whose spec this one brought back; 0: none
  Cut cut;                    // its operation's; not stored with it

  bool automatic() const { return method.empty(); }
  // Whether it has served as asked: what succeeds while an app is stopped has proved nothing.
  bool good() const {
    return outcome == OperationPhase::Succeeded && spec.run_mode == RunMode::Running &&
           !automatic();
  }
};

}  // namespace appd::model
