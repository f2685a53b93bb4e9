// AsgiCall: one HTTP request in the hands of an ASGI app.
#pragma once

#include "worker/gateway/asgi.h"
#include "worker/gateway/asgi_channel.h"
#include "worker/net/intrusive_list.h"

namespace appd::gateway {

struct HeldTag {};

// Used again for the next request when the app has kept nothing of it.
class AsgiCall final : public AsgiChannel, public net::ListLink<HeldTag> {
 public:
  explicit AsgiCall(Asgi& asgi) : AsgiChannel(asgi) {}

  // Calls the app. `self` is the object that owns this.
  void begin(engine::Exchange& exchange, PyRef self);

  StepEnd receive(PyRef& message) override;
  StepEnd send(PyObject* message, PyRef& result) override;
  PyRef detach() override;
  void on_change() override;
  void on_overdue() override;
  void on_end(bool raised) override;
  // What was sent and held leaves now.
  void release();

 private:
  bool take_start(PyObject* message);
  StepEnd take_body(PyObject* message, PyRef& result);
  bool take_trailers(PyObject* message);
  bool take_path(PyObject* message);
  bool take_early_hint(PyObject* message);
  PyRef body_message(bool more);
  void complete();
  void finish();
  bool is_disconnect() const;

  bool body_told_ = false;  // receive() has given all of it
  bool answered_ = false;
  bool trailers_wanted_ = false;
};

}  // namespace appd::gateway
