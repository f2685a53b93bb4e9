// doctor: what the kernel's files and an interpreter's answer come to.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "ctl/doctor/check.h"
#include "ctl/doctor/interpreter.h"
#include "ctl/doctor/proc.h"
#include "tests/support/temporary_directory.h"

namespace appd::ctl {
namespace {

constexpr const char* kLimits =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max processes             200                  200                  processes \n"
    "Max open files            1024                 524288               files     \n"
    "Max locked memory         unlimited            unlimited            bytes     \n";

// A host of files, which a test changes before it looks.
class Host : public ::testing::Test {
 protected:
  Host() {
    v1::ServerInfo server;
    server.set_pid(42);
    known.server = server;
    put("proc/42/limits", kLimits);
    put("proc/sys/net/core/somaxconn", "4096\n");
    put("proc/sys/vm/overcommit_memory", "0\n");
    put("proc/sys/fs/file-nr", "5000\t0\t100000\n");
    put("proc/sys/fs/file-max", "100000\n");
    put("proc/meminfo",
        "MemTotal:        8388608 kB\nMemFree:          100 kB\nMemAvailable:    4194304 kB\n"
        "CommitLimit:     1048576 kB\nCommitted_AS:     524288 kB\n");
  }
  void put(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder.path(name)).parent_path());
    std::ofstream(folder.path(name)) << text;
  }
  v1::App& add_app(const std::string& id, std::int32_t workers, const std::string& served) {
    v1::App app;
    app.set_name("apps/" + id);
    app.mutable_spec()->set_workers(workers);
    app.mutable_spec()->set_threads(1);
    app.mutable_spec()->set_backlog(2048);
    app.mutable_spec()->set_worker_connections(1000);
    app.mutable_spec()->add_bind("127.0.0.1:80");
    app.mutable_observed()->set_worker_class(served);
    known.apps.push_back(app);
    return known.apps.back();
  }
  Check look(const std::string& name) {
    Checks checks;
    check_limits(known, folder.path(), checks);
    for (const Check& check : checks) {
      if (check.name == name) return check;
    }
    return {"", "", Verdict::Ok, "(not looked at)", ""};
  }

  const test::TemporaryDirectory folder;
  Known known;
};

TEST_F(Host, AWorkerMayHaveFewerDescriptorsThanItsConnectionsNeed) {
  put("proc/42/limits", "Max open files            65536                524288\n");
  EXPECT_EQ(look("descriptors").verdict, Verdict::Ok);
  put("proc/42/limits", kLimits);
  EXPECT_EQ(look("descriptors").verdict, Verdict::Warn) << "idle connections take them";
  add_app("chat", 1, "asgi");
  const Check check = look("descriptors");
  EXPECT_EQ(check.verdict, Verdict::Fail);
  EXPECT_NE(check.finding.find("a worker of chat may need 1100"), std::string::npos)
      << check.finding;
  EXPECT_NE(check.advice.find("LimitNOFILE"), std::string::npos);
  known.apps[0].mutable_spec()->set_run_mode(v1::AppSpec::STOPPED);
  EXPECT_EQ(look("descriptors").verdict, Verdict::Warn) << "what is stopped needs none";
}

TEST_F(Host, CountsTheProcessesThatAReloadNeeds) {
  add_app("web", 10, "sync");
  EXPECT_EQ(look("processes").verdict, Verdict::Ok);
  known.apps[0].mutable_spec()->set_workers(100);
  EXPECT_EQ(look("processes").verdict, Verdict::Fail);
  put("proc/42/limits", "Max processes             unlimited            unlimited\n");
  EXPECT_EQ(look("processes").finding, "no limit");
}

TEST_F(Host, ABacklogIsCutToSomaxconn) {
  add_app("web", 1, "sync");
  EXPECT_EQ(look("accept queue").verdict, Verdict::Ok);
  put("proc/sys/net/core/somaxconn", "128\n");
  const Check check = look("accept queue");
  EXPECT_EQ(check.verdict, Verdict::Warn);
  EXPECT_EQ(check.finding, "net.core.somaxconn is 128, less than the backlog of web, 2048");
  EXPECT_EQ(check.advice.substr(0, 37), "sysctl -w net.core.somaxconn=4096, wr");
}

TEST_F(Host, MemoryIsComparedWithWhatAReloadNeeds) {
  add_app("web", 2, "sync");
  EXPECT_EQ(look("memory").finding, "4.0GiB of 8.0GiB available");
  for (int i = 0; i < 2; ++i) {
    v1::Worker worker;
    worker.set_name("apps/web/workers/" + std::to_string(i));
    worker.set_memory(std::int64_t{3} << 30);
    known.workers.push_back(worker);
  }
  EXPECT_EQ(look("memory").verdict, Verdict::Warn);
  EXPECT_NE(look("memory").advice.find("appctl set web --max-surge 1"), std::string::npos);
  put("proc/meminfo", "MemTotal:        8388608 kB\nMemAvailable:    4194 kB\n");
  EXPECT_EQ(look("memory").verdict, Verdict::Fail);
}

TEST_F(Host, StrictOvercommitIsTold) {
  EXPECT_EQ(look("overcommit").verdict, Verdict::Ok);
  put("proc/sys/vm/overcommit_memory", "2\n");
  const Check check = look("overcommit");
  EXPECT_EQ(check.verdict, Verdict::Warn);
  EXPECT_NE(check.finding.find("512MiB are left"), std::string::npos) << check.finding;
}

TEST_F(Host, WithoutAnAppdOnlyTheHostIsLookedAt) {
  known.server.reset();
  EXPECT_EQ(look("descriptors").finding, "(not looked at)");
  EXPECT_EQ(look("memory").verdict, Verdict::Ok);
}

TEST_F(Host, WhatTheKernelDoesNotTellIsLeftOut) {
  std::filesystem::remove_all(folder.path("proc"));
  Checks checks;
  check_limits(known, folder.path(), checks);
  EXPECT_TRUE(checks.empty());
}

TEST(Proc, ReadsLimitsAndSizes) {
  EXPECT_EQ(soft_limit(kLimits, "Max open files"), 1024U);
  EXPECT_EQ(soft_limit(kLimits, "Max locked memory"), UINT64_MAX);
  EXPECT_EQ(soft_limit(kLimits, "Max nonsense"), std::nullopt);
  EXPECT_EQ(kibibytes_of("A:  3 kB\nB: 4 kB\n", "B:"), 4096U);
  EXPECT_EQ(kernel_text("/nowhere"), "");
}

TEST(InterpreterAnswer, IsTheLastLineThatItPrints) {
  const auto found = parse_interpreter(
      "hello from sitecustomize\n{\"version\": \"3.11.2\", \"implementation\": \"cpython\", "
      "\"free_threaded\": false, \"missing\": [\"gevent\"]}\n");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->version, "3.11.2");
  EXPECT_EQ(found->missing, (std::vector<std::string>{"gevent"}));
  EXPECT_FALSE(parse_interpreter("hello\n"));
  EXPECT_FALSE(parse_interpreter("{\"version\": 3}\n"));
  EXPECT_FALSE(parse_interpreter(""));
}

TEST(InterpreterAnswer, OneThatDoesNotStartSaysWhyInItsOwnWords) {
  const test::TemporaryDirectory folder;
  const auto ask = [&](const std::string& script) {
    const std::string path = folder.path("python");
    std::filesystem::remove(path);
    folder.write("python", script);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return ask_interpreter(path, 0, {});
  };
  EXPECT_EQ(ask("#!/bin/sh\necho first; echo 'libpython3.11.so.1.0: cannot open'; exit 127\n")
                .error()
                .message,
            "libpython3.11.so.1.0: cannot open");
  EXPECT_NE(ask("#!/bin/sh\nkill -SEGV $$\n").error().message.find("signal 11"), std::string::npos);
  EXPECT_NE(ask("#!/no/such/interpreter\n").error().message.find("does not start"),
            std::string::npos);
  EXPECT_EQ(ask("#!/bin/sh\necho hello\n").error().message, "answers \"hello\"");
}

TEST(RenderChecks, ShowsVerdictsAdviceAndSums) {
  const Checks checks{{"host", "clock", Verdict::Ok, "synchronised", ""},
                      {"host", "memory", Verdict::Warn, "little", "buy more"},
                      {"web", "state", Verdict::Fail, "failing: \x1b[31m", "read\nit"}};
  EXPECT_EQ(render_checks(checks, {}),
            "host\n"
            "  ok    clock         synchronised\n"
            "  warn  memory        little\n"
            "                    → buy more\n"
            "web\n"
            "  fail  state         failing: \\x1b[31m\n"
            "                    → read\\nit\n"
            "1 ok, 1 warning, 1 failure\n");
  EXPECT_NE(checks_json(checks).find("\"verdict\": \"warn\""), std::string::npos);
}

TEST(RenderChecks, IsWrappedOnANarrowTerminal) {
  const Checks checks{{"host", "memory", Verdict::Ok,
                       "one two three four five six seven eight nine ten eleven twelve", ""}};
  const std::string shown = render_checks(checks, {60, false});
  for (std::size_t at = 0; at < shown.size();) {
    const std::size_t end = shown.find('\n', at);
    EXPECT_LE(end - at, 60U) << shown;
    at = end + 1;
  }
  EXPECT_NE(shown.find("twelve"), std::string::npos);
}

}  // namespace
}  // namespace appd::ctl
