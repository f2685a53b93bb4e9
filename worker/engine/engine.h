// Engine: accept → codec → gateway → codec, for one worker. Knows no Python.
//
// Everything but the functions marked "any thread" is called under one lock that belongs to the
// host (in a worker: the interpreter's). A host does
//
//   for (;;) {
//     while (Exchange* e = engine.next(lane)) { answer(*e); engine.finish(*e); }
//     if (engine.finished()) break;
//     release the lock; engine.wait(); take the lock;
//   }
//
// or, where an event loop of somebody else waits for poll_fd(), calls poll() in place of wait().
#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "worker/engine/acceptor.h"
#include "worker/engine/connection.h"
#include "worker/engine/lane.h"
#include "worker/engine/parking.h"
#include "worker/engine/shared.h"

namespace appd::engine {

class Engine {
 public:
  // Accepts as soon as it exists. Gives clients to, and takes them from, whoever shares `handover`.
  // The slot must outlive it.
  static Result<std::unique_ptr<Engine>> create(std::vector<UniqueFd> listeners, Handover handover,
                                                const message::Settings& settings,
                                                ScoreboardSlot& slot);
  ~Engine();

  // Without the lock: returns when next() may have something to do. One thread at a time, and only
  // after next() has returned nothing. True: a signal has interrupted it.
  bool wait();
  // For a foreign event loop: readable when poll() would bring something, deadlines included. Once
  // it was asked for, wait() is not to be called any more. An Error: no timer could be made.
  Result<int> poll_fd();
  // As wait(), under the lock and without waiting.
  void poll();
  // Whether new clients are taken from the accept queue, or left to the siblings.
  void accept_clients(bool wanted);
  // Takes none at all, not even while it drains, until they are admitted.
  void exclude_clients();
  void admit_clients();
  // Serves a connection of the host's own, which is in no accept queue.
  void adopt(UniqueFd socket);
  // next() would give something at once, without poll().
  bool has_turns() const { return !turns_.empty(); }
  // From now on requests are handed out when their heads are complete; see Exchange::read_body().
  void stream_bodies() { shared_.stream_bodies = true; }
  // Whether the time is measured that is between the end of wait() and the lock: worth a look at
  // the clock where several threads want it.
  void time_lock(bool wanted) { times_lock_.store(wanted, std::memory_order_relaxed); }
  // Any thread and signal handlers: makes wait() return.
  void wake();
  // The same, and starts draining at the next call of next(). Answers say goodbye at once.
  void request_drain();
  bool drain_requested() const { return shared_.drain_requested.load(); }

  // Any one thread, without the lock. Readable when a client that a sibling could serve has asked
  // for something.
  int waiting_fd() const { return parking_->fd(); }
  // Any one thread, without the lock: gives such clients to siblings, because nobody here has time.
  void give_away();
  // Any thread: looks whether clients are to be spread over the workers, for the sake of a canary.
  // Who has a connection from before is told goodbye with the next answer, and finds its worker
  // anew.
  void note_turns();
  // Any thread: events were taken from the kernel, and nobody with the lock has looked at them.
  bool has_uncollected() const { return woken_.load(std::memory_order_relaxed); }

  // The next complete request; nullptr when there is nothing to do or watched_ready().
  Exchange* next(Lane& lane);
  void finish(Exchange& exchange);
  // Of the requests in hand one that has come to be over request_timeout, each once; nullptr: none.
  Exchange* next_overdue();
  // How long the oldest of those has been in hand; zero when there is none.
  net::Nanoseconds oldest_overdue() const;
  // The request in hand that the scoreboard calls so; nullptr: it is over.
  Exchange* find_in_hand(std::uint32_t number);
  // The answer, 101, has been sent: the connection stays with the gateway until close_upgraded(),
  // but the request is over.
  void upgrade(Exchange& exchange);
  // As upgrade(), for a gateway that wants the socket itself: no event of it comes here any more.
  // `received` has what the client has sent after the request. Only when nothing is pending.
  UniqueFd detach(Exchange& exchange, std::string& received);
  // Sends what is pending, then ends the connection. A detached one is no longer counted.
  void close_upgraded(Exchange& exchange);

  void apply(const message::Settings& settings);
  const message::Settings& settings() const { return shared_.settings; }
  // Accept no more, finish what is there, tell idle clients to go.
  void drain();
  bool draining() const { return shared_.draining; }
  // Drained; and if the siblings are all going too, no client waits in their common queue.
  bool finished();

  // One descriptor of the host's (a link) that wait() watches too, level triggered.
  Result<void> watch(int fd);
  void unwatch(int fd);
  bool watched_ready() const { return watched_ready_; }
  void watched_done() { watched_ready_ = false; }

  // A whole Date field.
  std::string_view date_line() { return shared_.date.line(net::steady_now()); }
  net::TimePoint now() const { return shared_.now; }
  Stats& stats() { return shared_.stats; }
  std::size_t listeners() const { return acceptor_.count(); }

 private:
  struct Entry {
    std::unique_ptr<Connection> connection;
    std::uint32_t generation = 1;  // so that an event of a closed connection finds nobody
  };

  Engine(UniqueFd epoll, UniqueFd waker, std::unique_ptr<Parking> parking, Acceptor acceptor,
         ScoreboardSlot& slot);
  void collect();
  void collect_event(const epoll_event& event);
  void run_timeouts();
  void take_given();
  void accept_some(int most);
  // `late`: it may have been waiting for some time.
  void add(Client client, bool late);
  void bury_given();
  void settle(Connection& connection, Connection::Outcome outcome);
  void end_request(Exchange& exchange, int status);
  void log_request(Exchange& exchange, int status);
  void leave_gateway(Connection& connection);
  void remove(Connection& connection);
  void watch_again(const Connection& connection);
  Connection* find(std::uint64_t id);
  Connection* oldest_in_hand() const;
  void uncover();
  void publish_deadline();
  void take_events(int count);
  void arm_timer(std::int64_t deadline);

  Shared shared_;
  ScoreboardSlot& slot_;
  UniqueFd epoll_;
  UniqueFd waker_;
  std::unique_ptr<Parking> parking_;
  Acceptor acceptor_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::uint32_t open_ = 0;
  net::IntrusiveList<Connection, TurnTag> turns_;    // connections that can go on, in order
  net::IntrusiveList<Connection, TurnTag> in_hand_;  // in the gateway, oldest first
  net::IntrusiveList<Connection, TurnTag> overdue_;  // the same, over request_timeout
  net::TimePoint looked_{};                          // when events were collected last
  bool looks_late_ = false;  // what was found then may have been there for more than kPrompt
  bool watched_ready_ = false;
  bool has_room_ = true;                 // as accept_clients() says
  std::atomic<bool> excluding_ = false;  // as exclude_clients() says

  // Between the waiting thread and the others. While `woken_` is false the events belong to the
  // one that waits, while it is true to whoever holds the lock.
  static constexpr int kBatch = 64;
  std::array<epoll_event, kBatch> events_;
  int event_count_ = 0;
  net::TimePoint ready_{};  // of the events, if times_lock_
  std::atomic<bool> times_lock_ = false;
  std::atomic<bool> woken_ = false;
  std::atomic<std::int64_t> deadline_;        // of the earliest timeout
  std::atomic<std::int64_t> sleeping_until_;  // what the waiting thread sleeps for
  UniqueFd timer_;  // of poll_fd(): rings at armed_, which may be too early, never too late
  std::int64_t armed_;
};

}  // namespace appd::engine
