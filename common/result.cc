// errno becomes an Error here and nowhere else.
#include "common/result.h"

#include <cerrno>
#include <cstring>

namespace appd {

Error sys_error(std::string_view reason, std::string_view doing, int sys_errno) {
  Error error;
  switch (sys_errno) {
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EAGAIN:
    case EDQUOT:
      error.code = ErrorCode::ResourceExhausted;
      break;
    default:
      error.code = ErrorCode::Internal;
  }
  error.reason = reason;
  char text[128] = {};
  error.message = std::string(doing) + ": " + ::strerror_r(sys_errno, text, sizeof(text));
  error.sys_errno = sys_errno;
  return error;
}

}  // namespace appd
