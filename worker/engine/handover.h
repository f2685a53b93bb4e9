// Handover: the queue through which the workers of one rollout give each other clients.
//
// A SOCK_SEQPACKET pair that all of them share, as they share the accept queues. Whoever has no
// time for a client that has asked for something puts its socket in; whoever has time takes it out.
// So a keep-alive connection waits for a free worker, not for the one that happens to hold it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "common/result.h"
#include "common/scoreboard.h"
#include "worker/engine/client.h"

namespace appd::engine {

// Owns this process's descriptors of both ends; forks inherit them. put() and take() may be called
// by any thread.
class Handover {
 public:
  // `common`, of the scoreboard, counts the workers that take clients; it must outlive this.
  static Result<Handover> create(ScoreboardHeader& common);
  Handover(UniqueFd in, UniqueFd out, ScoreboardHeader& common)
      : in_(std::move(in)), out_(std::move(out)), common_(&common) {}
  // For a worker that shares with nobody.
  Handover() = default;

  bool valid() const { return in_.valid(); }
  // The worker of this slot takes clients from now on, and after leave() no more.
  void join(ScoreboardSlot& slot);
  void leave(ScoreboardSlot& slot);
  // There is somebody else who takes clients.
  bool has_takers() const {
    return valid() && common_->takers.load(std::memory_order_relaxed) > (joined_ ? 1U : 0U);
  }
  // New clients are to be spread evenly over all who wait for them.
  bool turns_wanted() const {
    return valid() && common_->take_turns.load(std::memory_order_relaxed) != 0;
  }
  // Readable when a client waits here.
  int fd() const { return out_.get(); }
  // All that this process has open for it.
  std::array<int, 2> descriptors() const { return {in_.get(), out_.get()}; }

  // The client's socket stays the caller's too. False: the queue is full.
  bool put(const Client& client) const;
  // Wakes a sibling that it may look at the accept queues: whoever was woken for a client
  // (EPOLLEXCLUSIVE) and cannot take it has to tell somebody else.
  void nudge() const;
  // Nothing when no client waits. The peer is a sibling, so what does not make sense is dropped.
  // `nudged`: set when there was a nudge.
  std::optional<Client> take(bool* nudged = nullptr) const;

 private:
  UniqueFd in_, out_;
  ScoreboardHeader* common_ = nullptr;
  bool joined_ = false;
};

}  // namespace appd::engine
