// The classes sync and gthread: a crew of threads calls a WSGI app.
#include "worker/gateway/crew.h"
#include "worker/gateway/serving.h"

namespace appd::gateway {
namespace {

class CrewServing final : public Serving {
 public:
  explicit CrewServing(ServingParts parts)
      : engine_(parts.engine),
        monitor_(parts.monitor),
        wsgi_(std::move(parts.app), parts.worker),
        crew_(engine_, wsgi_, monitor_),
        prepared_(
            wsgi_.prepare(parts.names, engine_.settings().threads > 1, parts.load.root_path)) {}

  ServingEnd serve() override {
    if (!prepared_) return {.failed = true};
    crew_.on_watched = on_watched;
    crew_.on_drain = on_drain;
    tune();
    on_ready();
    return {.failed = !crew_.serve()};
  }

  void tune() override {
    const message::Settings& settings = engine_.settings();
    crew_.resize(settings.threads);
    monitor_.set_timeout(stuck_limit(settings, std::chrono::milliseconds(0)), settings.threads > 1);
  }

  void held_up() override { crew_.promote(); }
  void relieve() override {
    if (!crew_.promote() || engine_.has_uncollected()) engine_.give_away();
  }

 private:
  engine::Engine& engine_;
  Monitor& monitor_;
  Wsgi wsgi_;
  Crew crew_;
  bool prepared_;
};

}  // namespace

std::unique_ptr<Serving> make_crew_serving(ServingParts parts) {
  return std::make_unique<CrewServing>(std::move(parts));
}

}  // namespace appd::gateway
