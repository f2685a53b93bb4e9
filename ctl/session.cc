// The session, and the process's own surroundings as one value.
#include "ctl/session.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "ctl/json.h"

namespace appd::ctl {
namespace {

Style style_of(std::FILE* stream, bool colour_wanted) {
  const int fd = ::fileno(stream);
  if (::isatty(fd) == 0) return {};
  Style style{80, colour_wanted};
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.width = size.ws_col;
  return style;
}

}  // namespace

Io standard_io() {
  const bool dumb = process_environment("TERM").value_or("dumb") == "dumb";
  const bool refused = !process_environment("NO_COLOR").value_or("").empty();
  std::error_code gone;  // the caller's directory may have been removed
  const std::filesystem::path here = std::filesystem::current_path(gone);
  Io io;
  io.in = stdin;
  io.out = stdout;
  io.err = stderr;
  io.out_style = style_of(stdout, !dumb && !refused);
  io.err_style = style_of(stderr, !dumb && !refused);
  io.live = ::isatty(STDERR_FILENO) != 0 && !dumb;
  io.directory = gone ? "/" : here.string();
  io.user = ::geteuid();
  io.environment = process_environment;
  return io;
}

Session::Session(const Io& io, std::string address, Format format, Credentials credentials)
    : io_(io),
      address_(std::move(address)),
      format_(format),
      credentials_(std::move(credentials)) {}

Client& Session::client() {
  if (client_ == nullptr) {
    ClientOptions options;
    options.address = address_;
    options.credentials = credentials_;
    options.notice = [this](std::string_view text) { note(text); };
    client_ = std::make_unique<Client>(std::move(options));
  }
  return *client_;
}

void Session::print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), io_.out); }

void Session::complain(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), io_.err);
  std::fflush(io_.err);
}

void Session::note(std::string_view text) { complain("appctl: " + std::string(text) + "\n"); }

ExitCode Session::print_json(const google::protobuf::Message& message, bool one_line) {
  return print_json(to_json(message, one_line));
}

ExitCode Session::print_json(const Result<std::string>& text) {
  if (!text) {
    note("cannot show the answer as JSON: " + escape_line(text.error().message));
    return ExitCode::Failed;
  }
  print(*text);
  if (text->empty() || text->back() != '\n') print("\n");
  return ExitCode::Done;
}

ExitCode Session::fail(const CallError& error, ErrorContext context) {
  context.address = address_;
  complain(render_call_error(error, context, io_.err_style));
  return exit_code(error);
}

}  // namespace appd::ctl
