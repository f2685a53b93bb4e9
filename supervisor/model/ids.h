// Identifiers: UUIDs for apps, operations and requests.
#pragma once

#include <string>
#include <string_view>

namespace appd::model {

// A random UUID (version 4), lower case: "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b11". Any thread.
std::string new_uuid();

// 8-4-4-4-12 hexadecimal digits, of either case and any version.
bool valid_uuid(std::string_view text);

}  // namespace appd::model
