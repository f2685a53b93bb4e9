// Families: what a measurement says, as Prometheus' families. Pure.
#pragma once

#include <string>

#include "supervisor/model/measurement.h"
#include "supervisor/runtime/own_process.h"

namespace appd::metrics {

// All of them. docs/metrics.md lists them too.
std::string expose(const model::Measurement& measured, const model::ServerInfo& info,
                   const runtime::OwnProcess& own);

}  // namespace appd::metrics
