// Names of worker classes.
#include "supervisor/model/worker_class.h"

namespace appd::model {

bool changes_in_place(std::string_view worker_class) {
  return worker_class == "sync" || worker_class == "gthread";
}

}  // namespace appd::model
