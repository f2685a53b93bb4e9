// What the tests of whole command lines share: appctl run in this process, and answers to script.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/cli.h"
#include "fake_appd.h"

namespace appd::ctl {

using grpc::StatusCode;

struct Ran {
  ExitCode code;
  std::string out;
  std::string err;
};

class Cli : public ::testing::Test {
 protected:
  // Runs appctl in this process with the fake's address, as if it were not on a terminal.
  Ran appctl(std::vector<std::string> arguments, const std::string& input = "", bool live = false) {
    char* out_text = nullptr;
    char* err_text = nullptr;
    std::size_t out_size = 0;
    std::size_t err_size = 0;
    Io io;
    std::string in_text = input;
    io.in = input.empty() ? std::tmpfile() : ::fmemopen(in_text.data(), in_text.size(), "r");
    io.out = ::open_memstream(&out_text, &out_size);
    io.err = ::open_memstream(&err_text, &err_size);
    io.live = live;
    io.directory = "/caller";
    io.user = 1000;
    io.environment = [this](const char* name) -> std::optional<std::string> {
      if (std::string_view(name) == "APPD_ADDRESS") return appd.address();
      return std::nullopt;
    };
    const ExitCode code = run(std::move(arguments), io);
    std::fclose(io.in);
    std::fclose(io.out);
    std::fclose(io.err);
    Ran ran{code, {out_text, out_size}, {err_text, err_size}};
    std::free(out_text);
    std::free(err_text);
    return ran;
  }

  FakeAppd appd;
};

inline v1::Operation operation(v1::Operation::Phase phase, std::int32_t ready,
                               v1::Operation::Kind kind = v1::Operation::SCALE) {
  v1::Operation out;
  out.set_name("operations/1");
  out.set_app("apps/myapp");
  out.set_kind(kind);
  out.set_phase(phase);
  out.set_done(phase >= v1::Operation::SUCCEEDED);
  out.set_rollout(3);
  out.mutable_progress()->set_ready_workers(ready);
  out.mutable_progress()->set_wanted_workers(17);
  return out;
}

inline v1::App myapp(std::int32_t workers = 4) {
  v1::App app;
  app.set_name("apps/myapp");
  app.set_operation("operations/0");
  app.set_etag("W/\"1\"");
  app.mutable_spec()->set_directory("/srv/myapp");
  app.mutable_spec()->set_app("wsgi:app");
  app.mutable_spec()->add_bind("127.0.0.1:8000");
  app.mutable_spec()->set_workers(workers);
  app.mutable_observed()->set_ready_workers(workers);
  return app;
}

// Answers every wait with this operation.
inline auto ends_as(const v1::Operation& end) {
  return [end](const v1::WaitOperationRequest&, v1::Operation& response) {
    response = end;
    return grpc::Status::OK;
  };
}

}  // namespace appd::ctl
