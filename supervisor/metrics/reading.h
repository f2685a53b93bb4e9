// A reading of all figures, waited for.
#pragma once

#include <memory>

#include "supervisor/reconcile/control.h"

namespace appd::metrics {

using MeasurementPtr = std::shared_ptr<const model::Measurement>;

// The Error: the core has not answered for some seconds, or has ended.
Result<MeasurementPtr> read(reconcile::Control& control);

}  // namespace appd::metrics
