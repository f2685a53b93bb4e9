// Names of worker classes, and the rules of sync, gthread and auto.
#include "supervisor/model/worker_class.h"

#include <algorithm>
#include <array>

namespace appd::model {
namespace {

constexpr auto kClasses = std::to_array<std::string_view>(
    {"auto", "sync", "gthread", "gevent", "eventlet", "tornado", "asgi"});

struct Alias {
  std::string_view name;
  std::string_view ours;
  std::string_view loop = {};
};
constexpr auto kAliases = std::to_array<Alias>({
    {"gunicorn.workers.sync.SyncWorker", "sync"},
    {"gunicorn.workers.gthread.ThreadWorker", "gthread"},
    {"gunicorn.workers.ggevent.GeventWorker", "gevent"},
    {"gunicorn.workers.ggevent.GeventPyWSGIWorker", "gevent"},
    {"gevent_wsgi", "gevent"},
    {"gevent_pywsgi", "gevent"},
    {"gunicorn.workers.geventlet.EventletWorker", "eventlet"},
    {"gunicorn.workers.gtornado.TornadoWorker", "tornado"},
    {"gunicorn.workers.gasgi.ASGIWorker", "asgi"},
    {"uvicorn.workers.UvicornWorker", "asgi"},
    {"uvicorn.workers.UvicornH11Worker", "asgi", "asyncio"},
    {"uvicorn_worker.UvicornWorker", "asgi"},
    {"uvicorn_worker.UvicornH11Worker", "asgi", "asyncio"},
    {"asyncio", "asgi", "asyncio"},
    {"uvloop", "asgi", "uvloop"},
});

// "egg:gunicorn#gthread" is "gthread" to gunicorn.
std::string_view without_egg(std::string_view name) {
  constexpr std::string_view kEgg = "egg:gunicorn#";
  return name.starts_with(kEgg) ? name.substr(kEgg.size()) : name;
}

// nullptr: it is none.
const Alias* find_alias(std::string_view name) {
  const auto* found = std::find_if(kAliases.begin(), kAliases.end(), [&](const Alias& each) {
    return each.name == without_egg(name);
  });
  return found == kAliases.end() ? nullptr : found;
}

bool is_threaded(std::string_view name) { return name == "sync" || name == "gthread"; }

// What workers of the class run, where those that there are have come to be `served`; empty: not
// known.
std::string_view code_of(std::string_view name, std::string_view served) {
  if (is_threaded(name)) return "threads";
  if (name != "auto") return name;
  if (is_threaded(served)) return "threads";
  // auto comes to be no other class
  return served == "asgi" || served == "tornado" ? served : std::string_view();
}

}  // namespace

std::span<const std::string_view> worker_classes() { return kClasses; }

std::string canonical_worker_class(std::string_view name) {
  if (const Alias* alias = find_alias(name)) return std::string(alias->ours);
  const std::string_view known = without_egg(name);
  const bool ours = std::find(kClasses.begin(), kClasses.end(), known) != kClasses.end();
  return std::string(ours ? known : name);
}

std::string_view loop_of_worker_class(std::string_view name) {
  const Alias* alias = find_alias(name);
  return alias == nullptr ? std::string_view() : alias->loop;
}

bool takes_threads(std::string_view worker_class) {
  return worker_class == "auto" || is_threaded(worker_class);
}

std::string effective_worker_class(std::string_view asked, std::string_view served,
                                   std::int32_t threads) {
  if (!served.empty() && !is_threaded(served)) return std::string(served);
  if (served.empty() && !takes_threads(asked)) return std::string(asked);
  return asked == "gthread" || threads > 1 ? "gthread" : "sync";
}

bool changes_in_place(std::string_view from, std::string_view to, std::string_view served) {
  const std::string_view code = code_of(from, served);
  return from == to || (!code.empty() && code == code_of(to, served));
}

}  // namespace appd::model
