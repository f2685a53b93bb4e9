// The exit codes of appctl: documented in `appctl --help` and docs/appctl.md, never renumbered.
#pragma once

#include "appd/v1/operations.pb.h"
#include "ctl/call_error.h"

namespace appd::ctl {

enum class ExitCode {
  Done = 0,
  Failed = 1,
  Usage = 2,        // wrong arguments, or values that appd refuses
  RolledBack = 3,   // the change was undone, or cancelled; what served before serves on
  Unreachable = 4,  // appd is not there, or does not answer
  Conflict = 5,     // someone else was first: stale etag, name taken, superseded
  Interrupted = 130,
};

ExitCode exit_code(const CallError& error);
// Of an operation that is done.
ExitCode exit_code(const v1::Operation& operation);

}  // namespace appd::ctl
