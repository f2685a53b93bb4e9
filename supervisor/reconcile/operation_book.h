// OperationBook: the operations of all apps, who waits for them, and how each ends.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/reconcile/control.h"

namespace appd::reconcile {

Error operation_not_found(const std::string& id);

// Core thread only. What the store is to know of is collected until take_changed().
class OperationBook {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void load(std::vector<model::Operation> newest_first);
  // Those that the operation would supersede, as they would end. `all`: a change after which
  // nothing of what is on its way matters (stop, start, delete).
  std::vector<model::Operation> superseded_by(const model::Operation& operation, bool all,
                                              model::WallTime now) const;
  // `superseded`: what superseded_by() said; it is in the store already.
  void add(const model::Operation& operation, const std::vector<model::Operation>& superseded);

  const model::Operation* find(const std::string& id) const;
  std::vector<model::Operation> list(
      const model::AppScope& scope) const;  // newest first; "" is all
  std::vector<model::Operation*> open(const std::string& app);
  std::vector<const model::Operation*> open(const std::string& app) const;
  bool has_open(const std::string& app) const;

  void end(model::Operation& operation, model::OperationPhase phase, std::string error_message,
           std::optional<model::Failure> failure, model::WallTime now);
  // It has to tell something that must not be lost before it ends.
  void keep(const model::Operation& operation) { changed_.push_back(operation); }
  std::vector<model::Operation> take_changed() { return std::exchange(changed_, {}); }
  // It has ended so, and is in the store already.
  void replace(const model::Operation& ended);
  // Tells those who wait for one of them to end, once it is in the store: an end that was told
  // stays one.
  void tell(const std::vector<model::Operation>& changed);
  // Those could not be stored: they are taken again, before later ones.
  void give_back(std::vector<model::Operation> changed);

  void wait(const std::string& id, Time deadline, Reply<model::Operation> reply);
  // Answers those whose time has come; the next deadline is returned.
  std::optional<Time> expire_waits(Time now);

 private:
  void answer_waits(const model::Operation& operation);
  void prune(const std::string& app);

  struct Wait {
    Time deadline;
    Reply<model::Operation> reply;
  };
  std::map<std::string, model::Operation> operations_;
  std::map<std::string, std::vector<std::string>> order_;  // by app, oldest first
  std::multimap<std::string, Wait> waits_;                 // by operation
  std::vector<model::Operation> changed_;
};

}  // namespace appd::reconcile
