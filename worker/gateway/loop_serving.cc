// The classes that an event loop serves: asgi, gevent, eventlet and tornado. The loop itself is run
// by appd_loops.py, which gets what is here as callables.
#include "worker/gateway/asgi.h"
#include "worker/gateway/greenlets.h"
#include "worker/gateway/hooks.h"
#include "worker/gateway/loop_host.h"
#include "worker/gateway/serving.h"

namespace appd::gateway {
namespace {

using std::chrono::milliseconds;

constexpr const char* kServingCapsule = "appd_worker.LoopServing";

class LoopServing final : public Serving {
 public:
  LoopServing(ServingParts parts, const std::string& worker_class)
      : engine_(parts.engine),
        monitor_(parts.monitor),
        load_(parts.load),
        worker_class_(worker_class),
        names_(std::move(parts.names)),
        app_(std::move(parts.app)),
        host_(engine_, monitor_) {
    loops_ = PyRef::steal(PyImport_ImportModule("appd_loops"));
    PyRef asgi_app = PyRef::steal(loops_ ? PyObject_CallMethod(loops_.get(), "asgi_app", "sO",
                                                               worker_class_.c_str(), app_.get())
                                         : nullptr);
    if (asgi_app && asgi_app.get() != Py_None) {
      asgi_ = std::make_unique<Asgi>(std::move(asgi_app), host_, parts.worker);
      if (worker_class_ == "tornado") asgi_->leave_websockets_to_app();
      host_.serve(*asgi_);
    } else {
      greenlets_ = std::make_unique<Greenlets>(PyRef::borrow(app_.get()), host_, parts.worker);
      host_.serve(*greenlets_);
    }
  }

  ServingEnd serve() override {
    if (asgi_) engine_.stream_bodies();
    auto fd = engine_.poll_fd();
    PyRef self = PyRef::steal(PyCapsule_New(this, kServingCapsule, nullptr));
    if (!fd || !self || !loops_ || PyErr_Occurred() != nullptr) {
      return {false, true, fd ? to_text_of_exception() : fd.error().message, {}};
    }
    PyRef failure = PyRef::steal(PyObject_CallMethod(
        loops_.get(), "serve", "ssOi(NN)", worker_class_.c_str(),
        (asgi_ ? load_.loop + "," + load_.lifespan : std::string()).c_str(), app_.get(), *fd,
        callable(self, begin_method()), callable(self, tick_method())));
    if (!failure) return {.failed = true};
    if (failure.get() == Py_None) return {};
    PyObject* summary = nullptr;
    PyObject* traceback = nullptr;
    if (!PyArg_ParseTuple(failure.get(), "OO", &summary, &traceback)) return {.failed = true};
    return {false, true, to_text(summary), to_text(traceback)};
  }

  void tune() override {
    const message::Settings& settings = engine_.settings();
    host_.set_limit(settings.worker_connections);
    // What can be ended otherwise is given time for that.
    bool ends_by_itself = asgi_ || greenlets_->waits();
    milliseconds grace = ends_by_itself ? milliseconds(kResistance) : milliseconds(0);
    monitor_.set_timeout(stuck_limit(settings, grace), false);
  }

  void cancel(std::uint32_t number) override { host_.cancel(number); }

  // The loop turns, or it is stuck.
  void held_up() override { engine_.wake(); }
  void relieve() override { engine_.give_away(); }

 private:
  static LoopServing& of(PyObject* self) {
    return *static_cast<LoopServing*>(PyCapsule_GetPointer(self, kServingCapsule));
  }

  static PyMethodDef* begin_method() {
    static PyMethodDef method = {"begin", begin_entry, METH_VARARGS,
                                 "begin(loop, state, spawn, stop): the loop is ready to serve"};
    return &method;
  }
  static PyMethodDef* tick_method() {
    static PyMethodDef method = {"tick", tick_entry, METH_NOARGS, "the descriptor is readable"};
    return &method;
  }
  static PyObject* callable(const PyRef& self, PyMethodDef* method) {
    return PyCFunction_NewEx(method, self.get(), nullptr);
  }

  static std::string to_text_of_exception() {
    PyErr_Print();
    return "appd's own part failed; see the app's log";
  }

  static PyObject* begin_entry(PyObject* self, PyObject* arguments) {
    PyObject* loop = nullptr;
    PyObject* state = nullptr;
    PyObject* spawn = nullptr;
    PyObject* stop = nullptr;
    if (!PyArg_ParseTuple(arguments, "OOOO", &loop, &state, &spawn, &stop)) return nullptr;
    if (!of(self).begin(loop, state, spawn, stop)) return nullptr;
    Py_INCREF(Py_None);
    return Py_None;
  }

  static PyObject* tick_entry(PyObject* self, PyObject*) {
    of(self).host_.tick();
    Py_INCREF(Py_None);
    return Py_None;
  }

  bool begin(PyObject* loop, PyObject* state, PyObject* spawn, PyObject* stop) {
    bool prepared =
        asgi_ ? asgi_->prepare(loop, state, names_, load_.root_path)
              : greenlets_->prepare(names_, load_.root_path) && greenlets_->set_spawn(spawn);
    if (!prepared) return false;
    stop_ = PyRef::borrow(stop);
    host_.on_watched = on_watched;
    host_.on_drain = on_drain;
    host_.on_hopeless = [this](net::Nanoseconds age) {
      on_stuck("", std::chrono::duration_cast<milliseconds>(age));
    };
    host_.on_finished = [this] {
      PyRef stopped = PyRef::steal(PyObject_CallNoArgs(stop_.get()));
      if (!stopped) PyErr_Print();
    };
    tune();
    on_ready();
    return true;
  }

  engine::Engine& engine_;
  Monitor& monitor_;
  const message::Load& load_;
  std::string worker_class_;
  std::vector<engine::Peer> names_;
  PyRef app_;
  LoopHost host_;
  PyRef loops_;  // appd_loops.py
  std::unique_ptr<Asgi> asgi_;
  std::unique_ptr<Greenlets> greenlets_;
  PyRef stop_;
};

}  // namespace

std::unique_ptr<Serving> make_loop_serving(ServingParts parts, const std::string& worker_class) {
  return std::make_unique<LoopServing>(std::move(parts), worker_class);
}

}  // namespace appd::gateway
