#include "worker/gateway/report.h"

#include "worker/net/log_line.h"

namespace appd::gateway {

void report_exception(std::uint32_t worker, const engine::Exchange* exchange) {
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyErr_NormalizeException(&type, &value, &traceback);
  {
    net::LogLine line("error", "app_exception");
    line.add("worker", worker);
    if (exchange != nullptr) {
      line.add("method", exchange->request().method).add("path", exchange->request().target);
    }
  }
  // Not PyErr_Print: it would end the process for SystemExit and keep the frames alive.
  if (value != nullptr) PyErr_Display(type, value, traceback);
  PyErr_Clear();
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
}

void report_overdue(std::uint32_t worker, const engine::Exchange& exchange) {
  net::LogLine("warn", exchange.cancelled() ? "request_cancelled" : "request_timeout")
      .add("worker", worker)
      .add("method", exchange.request().method)
      .add("path", exchange.request().target)
      .add("answer", exchange.head_sent()   ? "broken off"
                     : exchange.cancelled() ? "503"
                                            : "504");
}

PyObject* request_timeout() {
  static PyObject* type =
      PyErr_NewException("appd_worker.RequestTimeout", PyExc_BaseException, nullptr);
  return type;
}

void report_length(std::uint32_t worker, const engine::Exchange& exchange) {
  if (exchange.excess() == 0 && exchange.owed() == 0) return;
  bool too_long = exchange.excess() > 0;
  net::LogLine("warn", too_long ? "response_too_long" : "response_too_short")
      .add("worker", worker)
      .add("method", exchange.request().method)
      .add("path", exchange.request().target)
      .add("content_length_off_by",
           static_cast<std::int64_t>(too_long ? exchange.excess() : exchange.owed()));
}

}  // namespace appd::gateway
