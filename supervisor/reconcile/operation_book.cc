// Bookkeeping of operations.
#include "supervisor/reconcile/operation_book.h"

#include <algorithm>

namespace appd::reconcile {
namespace {

constexpr std::size_t kKeptPerApp = 200;

// A later change of the same matter takes the place of one that is still on its way.
bool supersedes(const model::Operation& later, const model::Operation& earlier) {
  if (later.rollout != 0 && earlier.rollout != 0) return true;
  return later.kind == model::OperationKind::Scale && earlier.kind == model::OperationKind::Scale;
}

}  // namespace

Error operation_not_found(const std::string& id) {
  return {ErrorCode::NotFound, "OPERATION_NOT_FOUND", "there is no operations/" + id, 0};
}

void OperationBook::load(std::vector<model::Operation> newest_first) {
  for (auto it = newest_first.rbegin(); it != newest_first.rend(); ++it) {
    order_[it->app].push_back(it->id);
    operations_[it->id] = std::move(*it);
  }
}

std::vector<model::Operation> OperationBook::superseded_by(const model::Operation& operation,
                                                           bool all, model::WallTime now) const {
  std::vector<model::Operation> superseded;
  for (const model::Operation* earlier : open(operation.app)) {
    if (!all && !supersedes(operation, *earlier)) continue;
    model::Operation& ended = superseded.emplace_back(*earlier);
    ended.phase = model::OperationPhase::Superseded;
    ended.error_message = "superseded by operations/" + operation.id;
    ended.end_time = now;
  }
  return superseded;
}

void OperationBook::add(const model::Operation& operation,
                        const std::vector<model::Operation>& superseded) {
  for (const model::Operation& ended : superseded) operations_[ended.id] = ended;
  tell(superseded);
  order_[operation.app].push_back(operation.id);
  operations_[operation.id] = operation;
  prune(operation.app);
}

void OperationBook::give_back(std::vector<model::Operation> changed) {
  changed.insert(changed.end(), changed_.begin(), changed_.end());
  changed_ = std::move(changed);
}

const model::Operation* OperationBook::find(const std::string& id) const {
  auto it = operations_.find(id);
  return it == operations_.end() ? nullptr : &it->second;
}

std::vector<model::Operation> OperationBook::list(const model::AppScope& scope) const {
  std::vector<model::Operation> all;
  for (const auto& [id, operation] : operations_) {
    if (scope.holds(operation.app)) all.push_back(operation);
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.create_time > b.create_time; });
  return all;
}

std::vector<const model::Operation*> OperationBook::open(const std::string& app) const {
  std::vector<const model::Operation*> out;
  auto it = order_.find(app);
  if (it == order_.end()) return out;
  for (const std::string& id : it->second) {
    const model::Operation& operation = operations_.at(id);
    if (!model::is_done(operation.phase)) out.push_back(&operation);
  }
  return out;
}

std::vector<model::Operation*> OperationBook::open(const std::string& app) {
  std::vector<model::Operation*> out;
  for (const model::Operation* operation : std::as_const(*this).open(app)) {
    out.push_back(&operations_.at(operation->id));
  }
  return out;
}

bool OperationBook::has_open(const std::string& app) const {
  auto it = order_.find(app);
  return it != order_.end() &&
         std::any_of(it->second.begin(), it->second.end(),
                     [this](const auto& id) { return !model::is_done(operations_.at(id).phase); });
}

void OperationBook::end(model::Operation& operation, model::OperationPhase phase,
                        std::string error_message, std::optional<model::Failure> failure,
                        model::WallTime now) {
  operation.phase = phase;
  operation.error_message = std::move(error_message);
  operation.failure = std::move(failure);
  operation.end_time = now;
  changed_.push_back(operation);
}

void OperationBook::replace(const model::Operation& ended) {
  operations_[ended.id] = ended;
  tell({ended});
}

void OperationBook::tell(const std::vector<model::Operation>& changed) {
  for (const model::Operation& operation : changed) {
    if (model::is_done(operation.phase)) answer_waits(operation);
  }
}

void OperationBook::wait(const std::string& id, Time deadline, Reply<model::Operation> reply) {
  const model::Operation* operation = find(id);
  if (operation == nullptr) {
    reply(operation_not_found(id));
  } else if (model::is_done(operation->phase)) {
    reply(*operation);
  } else {
    waits_.emplace(id, Wait{deadline, std::move(reply)});
  }
}

std::optional<OperationBook::Time> OperationBook::expire_waits(Time now) {
  std::optional<Time> next;
  for (auto it = waits_.begin(); it != waits_.end();) {
    if (it->second.deadline <= now) {
      it->second.reply(operations_.at(it->first));
      it = waits_.erase(it);
    } else {
      if (!next || it->second.deadline < *next) next = it->second.deadline;
      ++it;
    }
  }
  return next;
}

void OperationBook::answer_waits(const model::Operation& operation) {
  auto [begin, end] = waits_.equal_range(operation.id);
  for (auto it = begin; it != end; ++it) it->second.reply(operation);
  waits_.erase(begin, end);
}

void OperationBook::prune(const std::string& app) {
  auto& ids = order_[app];
  while (ids.size() > kKeptPerApp && model::is_done(operations_.at(ids.front()).phase)) {
    operations_.erase(ids.front());
    ids.erase(ids.begin());
  }
}

}  // namespace appd::reconcile
