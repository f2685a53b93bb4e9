// From a request to the core's answer. The server's thread waits for it; scrapers are few.
#include "supervisor/metrics/server.h"

#include "supervisor/metrics/families.h"
#include "supervisor/metrics/page.h"
#include "supervisor/metrics/reading.h"

namespace appd::metrics {

Result<std::unique_ptr<runtime::ShortServer>> serve(const std::vector<std::string>& addresses,
                                                    reconcile::Control& control,
                                                    model::ServerInfo info) {
  auto text = [&control, info = std::move(info)]() -> Result<std::string> {
    const MeasurementPtr measured = TRY(read(control));
    return expose(*measured, info, runtime::read_own_process());
  };
  return runtime::ShortServer::start(
      addresses, [text](std::string_view received) { return answer(received, text); });
}

}  // namespace appd::metrics
