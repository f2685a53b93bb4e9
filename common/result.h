// Result<T>: a value or an Error, with std::expected's names, so that it can become an alias of it.
// What can happen is a Result; what cannot is an APPD_CHECK.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace appd {

// What kind of failure it is; the API maps each to one canonical gRPC code.
enum class ErrorCode {
  InvalidArgument,
  NotFound,
  AlreadyExists,
  PermissionDenied,
  Unauthenticated,
  Aborted,
  FailedPrecondition,
  OutOfRange,
  ResourceExhausted,
  Unavailable,
  DeadlineExceeded,
  Internal,
};

struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string reason;   // UPPER_SNAKE, stable, for programs
  std::string message;  // for people
  int sys_errno = 0;    // 0: not from the system

  // The same error with what was being done put before its message.
  Error context(std::string_view doing) && {
    message.insert(0, std::string(doing) + ": ");
    return std::move(*this);
  }
};

// An error from errno; the message ends with strerror's text.
Error sys_error(std::string_view reason, std::string_view doing, int sys_errno);

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T&& operator*() && { return std::move(*this).value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error)  // NOLINT(google-explicit-constructor)
      : error_(std::move(error)), failed_(true) {}

  bool has_value() const { return !failed_; }
  explicit operator bool() const { return has_value(); }
  void value() const {}
  Error& error() & { return error_; }
  const Error& error() const& { return error_; }
  Error&& error() && { return std::move(error_); }

 private:
  Error error_;
  bool failed_ = false;
};

// Returns the error of `expression` from the calling function, or yields its value.
#define TRY(expression)                                      \
  __extension__({                                            \
    auto try_result_ = (expression);                         \
    if (!try_result_) return std::move(try_result_).error(); \
    std::move(try_result_).value();                          \
  })

// Dies with a message when what cannot be is.
#define APPD_CHECK(condition)                                                                  \
  do {                                                                                         \
    if (!(condition)) {                                                                        \
      std::fprintf(stderr, "level=error event=check_failed at=%s:%d check=\"%s\"\n", __FILE__, \
                   __LINE__, #condition);                                                      \
      std::abort();                                                                            \
    }                                                                                          \
  } while (false)

// std::visit(Overloaded{[](A) {…}, [](B) {…}}, variant)
template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace appd
