// The rules of when workers are replaced.
#include "supervisor/model/checker.h"

namespace appd::model {
namespace {

constexpr std::int64_t kMostRequests = 1'000'000'000;
constexpr Milliseconds kYear = 365 * Checker::kDay;
constexpr std::int64_t kLeastMemory = std::int64_t{16} << 20;  // less no interpreter has
constexpr std::int64_t kMostMemory = std::int64_t{1} << 50;

}  // namespace

void check_recycling(Checker& check, const AppSpec& spec) {
  constexpr Milliseconds kNone{0};
  check.range("max_requests", spec.max_requests, 0, kMostRequests,
              "the number of requests after which a worker is replaced",
              "choose a number in that range, 0 for never");
  check.range("max_requests_jitter", spec.max_requests_jitter, 0, kMostRequests,
              "what is added to max_requests, at most");
  check.duration("max_worker_lifetime", spec.max_worker_lifetime, kNone,
                 "choose a duration in that range, 0 for ever", kYear);
  check.duration("max_worker_lifetime_jitter", spec.max_worker_lifetime_jitter, kNone,
                 "choose a duration in that range", kYear);
  if (spec.max_worker_lifetime > kNone && spec.max_worker_lifetime < Milliseconds{1000}) {
    check.refuse("max_worker_lifetime", "must be 0 or at least 1 s, but got " +
                                            std::to_string(spec.max_worker_lifetime.count()) +
                                            " ms: a worker would be replaced before it has served");
  }
  if (spec.max_memory != 0) {
    check.range("max_memory", spec.max_memory, kLeastMemory, kMostMemory,
                "the memory in bytes beyond which a worker is replaced",
                "choose a size in that range, 0 for no limit");
  }
}

}  // namespace appd::model
