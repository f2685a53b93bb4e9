// Leading, following, growing and shrinking.
#include "worker/gateway/crew.h"

#include <algorithm>

#include "worker/net/log_line.h"

namespace appd::gateway {
namespace {

constexpr const char* kCapsule = "appd_worker.member";

// What a new Python thread is started with.
struct ThreadStart {
  Crew* crew;
  void* member;
};

}  // namespace

Crew::Crew(engine::Engine& engine, Wsgi& wsgi, Monitor& monitor)
    : engine_(engine), wsgi_(wsgi), monitor_(monitor) {
  members_.push_back(std::make_unique<Member>(0));
  members_[0]->running = true;
  monitor_.watch(members_[0]->watched);
  engine_.stats().set_threads(1);
}

bool Crew::serve() {
  bool clean = work(*members_[0]);
  // The others leave by themselves once they see the same end.
  while (running_ > 1) {
    wake_all();
    engine_.wake();
    GilRelease release;
    std::unique_lock lock(mutex_);
    members_[0]->call.wait_for(lock, std::chrono::milliseconds(1));
  }
  return clean;
}

bool Crew::should_leave(const Member& me) { return engine_.finished() || me.index >= wanted_; }

bool Crew::work(Member& me) {
  bool is_main = me.index == 0;
  for (;;) {
    if (engine::Exchange* exchange = engine_.next(me.lane)) {
      serve_one(me, *exchange);
    } else {
      bool link_was_read = tend_engine();
      if (should_leave(me)) break;
      // next() stopped for the link: what else came with it is still to be done.
      bool signalled = !link_was_read && idle(me);
      // Handlers that the app has set in Python run in the main thread.
      if (signalled && is_main && PyErr_CheckSignals() < 0) return false;
    }
    if (should_leave(me)) break;
  }
  // Nobody may be waiting now, and there may be work; or it is over for the others too.
  wake_all();
  engine_.wake();
  return true;
}

void Crew::serve_one(Member& me, engine::Exchange& exchange) {
  const http::RequestHead& head = exchange.request();
  // With one thread the scoreboard says the same.
  if (wanted_ > 1) me.watched.describe(head.method, head.target);
  monitor_.enter(me.watched);
  wsgi_.serve(exchange, me.start_response);
  monitor_.leave(me.watched);
  engine_.finish(exchange);
}

// What the engine found that is not a request. True: there was something on the link.
bool Crew::tend_engine() {
  bool link_ready = engine_.watched_ready();
  if (link_ready) {
    engine_.watched_done();
    on_watched();
  }
  if (engine_.draining() && !std::exchange(drain_noted_, true)) on_drain();
  return link_ready;
}

// Waits for something to do, as the leader in the engine or as a follower asleep. True: there may
// have been a signal.
bool Crew::idle(Member& me) {
  std::uint32_t calls = calls_.load();
  Member* nobody = nullptr;
  if (leader_.compare_exchange_strong(nobody, &me)) {
    bool signalled;
    {
      GilRelease release;
      signalled = engine_.wait();
    }
    // Only now: a thread that holds the lock meanwhile takes the events, but does not lead.
    leader_.store(nullptr);
    return signalled;
  }
  GilRelease release;
  std::unique_lock lock(mutex_);
  if (calls != calls_.load()) return false;  // everybody was called since we looked
  me.called = false;
  sleepers_.push_back(&me);
  me.call.wait(lock, [&me] { return me.called; });
  return true;
}

bool Crew::wake_one() {
  std::lock_guard lock(mutex_);
  if (sleepers_.empty()) return false;
  Member* member = sleepers_.back();
  sleepers_.pop_back();
  member->called = true;
  member->call.notify_one();
  return true;
}

void Crew::wake_all() {
  std::lock_guard lock(mutex_);
  ++calls_;
  for (Member* member : sleepers_) {
    member->called = true;
    member->call.notify_one();
  }
  sleepers_.clear();
}

bool Crew::promote() { return leader_.load() != nullptr || wake_one(); }

void Crew::resize(std::uint32_t threads) {
  wanted_ = std::max(threads, 1U);
  while (members_.size() < wanted_) {
    members_.push_back(std::make_unique<Member>(static_cast<std::uint32_t>(members_.size())));
    monitor_.watch(members_.back()->watched);
  }
  for (std::uint32_t i = 1; i < wanted_; ++i) {
    if (members_[i]->running) continue;
    if (!start_thread(*members_[i])) {
      PyErr_Print();
      net::LogLine("error", "thread_not_started").add("thread", i);
      break;
    }
  }
  engine_.stats().set_threads(wanted_);
  engine_.time_lock(wanted_ > 1);
  wsgi_.set_multithread(wanted_ > 1);
  // Those beyond the wanted number see it when they wake up.
  wake_all();
  engine_.wake();
}

PyObject* Crew::thread_main(PyObject* self, PyObject*) {
  auto* start = static_cast<ThreadStart*>(PyCapsule_GetPointer(self, kCapsule));
  auto& crew = *start->crew;
  auto& me = *static_cast<Member*>(start->member);
  crew.work(me);
  me.running = false;
  --crew.running_;
  Py_INCREF(Py_None);
  return Py_None;
}

bool Crew::start_thread(Member& member) {
  static PyMethodDef method = {"serve", thread_main, METH_NOARGS, "Serves requests."};
  PyRef capsule =
      PyRef::steal(PyCapsule_New(new ThreadStart{this, &member}, kCapsule, [](PyObject* self) {
        delete static_cast<ThreadStart*>(PyCapsule_GetPointer(self, kCapsule));
      }));
  if (!capsule) return false;
  PyRef target = PyRef::steal(PyCFunction_NewEx(&method, capsule.get(), nullptr));
  PyRef threading = PyRef::steal(PyImport_ImportModule("threading"));
  if (!target || !threading) return false;
  PyRef type = PyRef::steal(PyObject_GetAttrString(threading.get(), "Thread"));
  PyRef name = PyRef::steal(PyUnicode_FromFormat("gthread-%u", member.index));
  PyRef arguments = PyRef::steal(PyTuple_New(0));
  PyRef keywords = PyRef::steal(type && name ? Py_BuildValue("{sOsOsO}", "target", target.get(),
                                                             "name", name.get(), "daemon", Py_True)
                                             : nullptr);
  if (!arguments || !keywords) return false;
  PyRef thread = PyRef::steal(PyObject_Call(type.get(), arguments.get(), keywords.get()));
  if (!thread) return false;
  member.running = true;
  ++running_;
  PyRef started = PyRef::steal(PyObject_CallMethod(thread.get(), "start", nullptr));
  if (started) return true;
  member.running = false;
  --running_;
  return false;
}

}  // namespace appd::gateway
