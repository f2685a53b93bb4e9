// The classes of workers: which there are, by which names people know them, and what follows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace appd::model {

// Every class that may be asked for; "auto" first.
std::span<const std::string_view> worker_classes();
// gunicorn's and uvicorn's names of a class ("gunicorn.workers.ggevent.GeventWorker",
// "egg:gunicorn#gthread", "uvicorn.workers.UvicornWorker") become ours. Others come back unchanged.
std::string canonical_worker_class(std::string_view name);
// The loop that such a name asks for ("uvloop", "asyncio", uvicorn's H11 workers); empty: none.
std::string_view loop_of_worker_class(std::string_view name);

// Whether workers of the class may have several threads: sync and gthread, and auto, which may come
// to be one of them.
bool takes_threads(std::string_view worker_class);

// The class that serves where `asked` was asked for and workers say that they are `served` (empty:
// not known): sync with several threads is gthread, as in gunicorn.
std::string effective_worker_class(std::string_view asked, std::string_view served,
                                   std::int32_t threads);

// Whether running workers take the other class on: sync and gthread are the same code, and auto is
// what it came to be.
bool changes_in_place(std::string_view from, std::string_view to, std::string_view served);

}  // namespace appd::model
