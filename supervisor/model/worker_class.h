// The classes of workers: which there are, and what follows from their names.
#pragma once

#include <string_view>

namespace appd::model {

// Whether a running worker can take the class on.
bool changes_in_place(std::string_view worker_class);

}  // namespace appd::model
