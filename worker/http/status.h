// Status codes and their reason phrases (IANA's registry of HTTP status codes).
#pragma once

#include <string_view>

namespace appd::http {

// "200 OK"; of a code that is not registered "299 ", of one that is none (100 to 599) nothing.
std::string_view status_text(int code);

}  // namespace appd::http
