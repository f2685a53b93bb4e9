// Server: metrics for whoever scrapes them, on addresses of their own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "supervisor/reconcile/control.h"
#include "supervisor/runtime/short_server.h"

namespace appd::metrics {

// Borrows the core, which must outlive it. The Error names the address.
Result<std::unique_ptr<runtime::ShortServer>> serve(const std::vector<std::string>& addresses,
                                                    reconcile::Control& control,
                                                    model::ServerInfo info);

}  // namespace appd::metrics
