// What a change leaves behind: its operation, and its revision in the history.
#pragma once

#include "common/failpoint.h"
#include "supervisor/reconcile/app_entry.h"
#include "supervisor/reconcile/control.h"

namespace appd::reconcile {

// `record`: what the app is to become.
model::Operation new_operation(const AppEntry& app, const model::AppRecord& record,
                               model::OperationKind kind, const CallOptions& options);
model::Revision new_revision(const model::AppRecord& record, const model::Operation& operation,
                             const CallOptions& options, std::int64_t restores);

// The reply to a change, and the moment after it.
template <typename T>
Reply<T> answered(Reply<T> reply) {
  return [reply = std::move(reply)](Answer<T> answer) {
    reply(std::move(answer));
    failpoint("change.answered");
  };
}

}  // namespace appd::reconcile
