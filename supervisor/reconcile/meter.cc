// From scoreboards and /proc to a measurement.
#include "supervisor/reconcile/meter.h"

#include <pthread.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "supervisor/reconcile/app_entry.h"
#include "supervisor/runtime/memory.h"
#include "supervisor/runtime/pid_ref.h"

namespace appd::reconcile {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::chrono::seconds kRest{1};  // between two entries that nobody waits for

model::MeasuredWorker measure_worker(const Roster::Worker& from) {
  model::MeasuredWorker to{from.view, {}, {}};
  to.view.memory = runtime::resident_memory(to.view.pid);
  if (auto stat = runtime::read_stat(to.view.pid)) to.cpu = stat->cpu;
  if (from.board == nullptr) return to;
  const ScoreboardSlot& slot = from.board->slot(static_cast<std::uint32_t>(to.view.id));
  // A slot that still shows its last owner's figures says nothing of this worker.
  if (slot.pid.load(relaxed) != to.view.pid) return to;
  to.counts = own_counts(slot);
  to.view.requests = static_cast<std::int64_t>(to.counts.requests);
  to.view.errors = static_cast<std::int64_t>(errors(to.counts));
  to.view.busy = static_cast<std::int32_t>(slot.busy.load(relaxed));
  to.view.connections = static_cast<std::int32_t>(slot.connections.load(relaxed));
  to.view.threads = static_cast<std::int32_t>(slot.threads.load(relaxed));
  return to;
}

}  // namespace

Meter::Meter(std::string ledger, Failed failed)
    : ledger_(std::move(ledger)), failed_(std::move(failed)), thread_([this] { run(); }) {}

Meter::~Meter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  asked_.notify_one();
  thread_.join();
}

void Meter::restore(const std::string& uid, std::uint64_t board, const model::Tally& told) {
  const std::lock_guard lock(mutex_);
  cpu_[uid].rollouts[board] = told.cpu;
}

void Meter::read(Roster roster, Done done) {
  {
    const std::lock_guard lock(mutex_);
    roster_ = std::move(roster);
    waiting_.push_back(std::move(done));
  }
  asked_.notify_one();
}

void Meter::keep(Roster roster) {
  {
    const std::lock_guard lock(mutex_);
    roster_ = std::move(roster);
  }
  asked_.notify_one();
}

void Meter::run() {
  ::pthread_setname_np(::pthread_self(), "appd-meter");
  std::unique_lock lock(mutex_);
  for (auto rested = std::chrono::steady_clock::time_point();;) {
    asked_.wait(lock, [this] { return roster_ || ending_; });
    if (!roster_) return;
    // Much may end at once.
    asked_.wait_until(lock, rested, [this] { return !waiting_.empty() || ending_; });
    const Roster roster = *std::exchange(roster_, std::nullopt);
    const std::vector<Done> waiting = std::exchange(waiting_, {});
    lock.unlock();
    const auto measured = std::make_shared<const model::Measurement>(measure(roster));
    for (const Done& done : waiting) done(measured);
    rested = std::chrono::steady_clock::now() + kRest;
    lock.lock();
  }
}

model::Measurement Meter::measure(const Roster& roster) {
  model::Measurement to;
  to.at = std::chrono::steady_clock::now();
  to.time = std::chrono::system_clock::now();
  to.calls = roster.calls;
  store::Books books{{}, roster.calls};
  for (const Roster::App& app : roster.apps) measure_app(app, to, books.apps[app.app.uid]);
  std::erase_if(cpu_, [&](const auto& entry) { return !books.apps.contains(entry.first); });
  remember(books);
  return to;
}

void Meter::remember(const store::Books& books) {
  auto saved = store::save_books(ledger_, books);
  if (!saved && !has_failed_) failed_(saved.error());
  has_failed_ = !saved;
}

void Meter::measure_app(const Roster::App& from, model::Measurement& to, store::AppBooks& books) {
  model::MeasuredApp app = from.app;
  for (const Roster::Rollout& rollout : from.rollouts) {
    app.memory += runtime::resident_memory(rollout.zygote);
    if (rollout.board == nullptr) continue;
    model::Tally& tally = books.boards[rollout.board->id()];
    tally.counts = rollout.board->counts();
    add_lost(rollout.board->log_loss(), tally);
    // Its workers come later: one that ends in between is missing now, and not counted twice.
    if (auto stat = runtime::read_stat(rollout.zygote)) tally.cpu = stat->cpu + stat->children_cpu;
  }
  for (const Roster::Worker& worker : from.workers) {
    const model::MeasuredWorker& read = to.workers.emplace_back(measure_worker(worker));
    app.busy += read.view.busy;
    app.connections += read.view.connections;
    app.memory += read.view.memory;
    if (worker.board != nullptr) books.boards[worker.board->id()].cpu += read.cpu;
  }
  books.ended = app.tally;
  books.ended.cpu += cpu_[app.uid].settle(books.boards);
  app.tally = books.ended;
  for (const auto& [board, tally] : books.boards) app.tally += tally;
  to.apps.push_back(std::move(app));
}

std::chrono::nanoseconds Meter::Cpu::settle(std::map<std::uint64_t, model::Tally>& now) {
  for (auto it = rollouts.begin(); it != rollouts.end();) {
    const bool has_ended = !now.contains(it->first);
    if (has_ended) ended += it->second;
    it = has_ended ? rollouts.erase(it) : std::next(it);
  }
  for (auto& [board, tally] : now) {
    std::chrono::nanoseconds& known = rollouts[board];
    known = tally.cpu = std::max(known, tally.cpu);
  }
  return ended;
}

}  // namespace appd::reconcile
