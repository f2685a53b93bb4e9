// How a change ended, in words: the last line of a success, and of a failure what went wrong,
// where, and what to do next. Pure.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "appd/v1/apps.pb.h"
#include "appd/v1/operations.pb.h"
#include "ctl/call_error.h"
#include "ctl/text.h"

namespace appd::ctl {

struct ErrorContext {
  std::string doing;    // "create myapp"
  std::string app;      // id; may be empty
  std::string address;  // of appd
  // What a person calls the field behind a path of the API; empty: the flag that sets it.
  std::function<std::string(const std::string& path)> place;
};

// Several lines, for stderr: the failure, each violation with the flag that sets it, the way on.
std::string render_call_error(const CallError& error, const ErrorContext& context,
                              const Style& style);

struct ChangeSummary {
  std::string what;                          // "reloaded", "timeout: 30s → 45s"; may be empty
  std::optional<std::int32_t> ready_before;  // workers
  std::chrono::milliseconds elapsed{0};
};

// "myapp: 17 workers ready (was 4), rollout 3, 0.041s", of an operation that succeeded.
std::string render_success(const v1::Operation& operation, const ChangeSummary& summary);
// For stderr, of an operation that did not succeed: the traceback or the answer to the health
// check, why, and what serves now, for which `app` is looked at if it could be had.
std::string render_failure(const v1::Operation& operation, const v1::App* app, const Style& style);
// How to go on watching an operation that this command no longer waits for.
std::string follow_hint(const v1::Operation& operation);

}  // namespace appd::ctl
