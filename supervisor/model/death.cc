// The words for causes of death.
#include "supervisor/model/death.h"

namespace appd::model {

std::string_view word_of(DeathCause cause) {
  switch (cause) {
    case DeathCause::Asked:
      return "asked";
    case DeathCause::Crashed:
      return "crashed";
    case DeathCause::BootFailed:
      return "boot_failed";
    case DeathCause::BootTimeout:
      return "boot_timeout";
    case DeathCause::Timeout:
      return "timeout";
    case DeathCause::RequestTimeout:
      return "request_timeout";
    case DeathCause::Stopped:
      return "stopped";
    case DeathCause::GracefulTimeout:
      return "graceful_timeout";
    case DeathCause::OutOfMemory:
      return "out_of_memory";
    case DeathCause::Killed:
      return "killed";
    case DeathCause::Unknown:
      return "unknown";
  }
  return {};
}

}  // namespace appd::model
