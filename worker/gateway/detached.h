// Detached: a client's socket that the app has taken over.
#pragma once

#include "worker/gateway/loop_host.h"

namespace appd::gateway {

// (descriptor, bytes, hold) as Python has them: the socket, which is the app's to close; what the
// client had sent already; and an object that is kept until the socket is closed. As long as that
// lives, the connection is counted, and the worker waits for it when it drains. Empty with an
// exception set. `exchange` is nullptr afterwards, unless nothing has happened.
PyRef detach(LoopHost& host, engine::Exchange*& exchange);

}  // namespace appd::gateway
