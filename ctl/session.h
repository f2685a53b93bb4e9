// One run of appctl: where it reads and writes, how answers are to look, and the connection to
// appd. Tests hand in streams of their own.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "ctl/client.h"
#include "ctl/exit_code.h"
#include "ctl/interrupt.h"
#include "ctl/report.h"
#include "ctl/surroundings.h"
#include "ctl/text.h"

namespace appd::ctl {

// The caller's side. The streams stay open for the life of the session.
struct Io {
  std::FILE* in = nullptr;
  std::FILE* out = nullptr;
  std::FILE* err = nullptr;
  Style out_style;
  Style err_style;
  bool live = false;      // a progress line may be rewritten in place on err
  std::string directory;  // the caller's, absolute
  unsigned user = 0;
  Environment environment;
};

// The process's own streams: colours and widths only on terminals, no colour with NO_COLOR or
// TERM=dumb.
Io standard_io();

enum class Format { Text, Json };

// Main thread only.
class Session {
 public:
  Session(const Io& io, std::string address, Format format, Credentials credentials = {});

  const Io& io() const { return io_; }
  bool json() const { return format_ == Format::Json; }
  const std::string& address() const { return address_; }
  // Connects at the first call that is made through it.
  Client& client();

  // From here on Ctrl-C tells of a change that may go on. Verbs that only look die of it as usual.
  void guard_change() { interrupts_.emplace(io_.live); }
  // The change under way is this operation.
  void name_change(const v1::Operation& operation) {
    if (interrupts_) interrupts_->follow(follow_hint(operation));
  }

  // To stdout; run() notices in the end when that could not be written.
  void print(std::string_view text);
  // To stderr, as it is.
  void complain(std::string_view text);
  // To stderr, as "appctl: …".
  void note(std::string_view text);
  // The message as JSON to stdout; Failed with a note if it has no JSON form.
  ExitCode print_json(const google::protobuf::Message& message, bool one_line = false);
  ExitCode print_json(const Result<std::string>& text);
  // Explains the error on stderr. `context.address` is filled in.
  ExitCode fail(const CallError& error, ErrorContext context);

 private:
  const Io& io_;
  std::string address_;
  Format format_;
  Credentials credentials_;
  std::unique_ptr<Client> client_;
  std::optional<InterruptNotice> interrupts_;
};

}  // namespace appd::ctl
