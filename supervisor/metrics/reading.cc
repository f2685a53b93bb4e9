// A promise that the core keeps, or takes with it.
#include "supervisor/metrics/reading.h"

#include <future>

namespace appd::metrics {
namespace {

constexpr std::chrono::seconds kPatience{5};

}  // namespace

Result<MeasurementPtr> read(reconcile::Control& control) {
  auto promise = std::make_shared<std::promise<MeasurementPtr>>();
  auto measured = promise->get_future();
  control.measure(std::nullopt,
                  [promise = std::move(promise)](const reconcile::Answer<MeasurementPtr>& answer) {
                    promise->set_value(answer.value());  // refused is only an app that is not there
                  });
  try {
    if (measured.wait_for(kPatience) == std::future_status::ready) return measured.get();
  } catch (const std::future_error&) {
    // The core has ended, and with it the promise.
  }
  return Error{ErrorCode::Unavailable, "METRICS_LATE", "appd does not answer: try again", 0};
}

}  // namespace appd::metrics
