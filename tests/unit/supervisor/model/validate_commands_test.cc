// The rules of pools of commands, and of the tasks of a rollout.
#include <gtest/gtest.h>
#include <signal.h>

#include <functional>

#include "supervisor/model/app_spec.h"

namespace appd::model {
namespace {

AppSpec command() {
  AppSpec spec;
  spec.directory = "/srv/mailer";
  spec.command = "celery -A proj worker";
  return spec;
}

AppSpec app() {
  AppSpec spec;
  spec.directory = "/srv/web";
  spec.app = "wsgi:app";
  spec.bind = {"127.0.0.1:8000"};
  return spec;
}

std::string broken(AppSpec spec, const std::function<void(AppSpec&)>& edit) {
  edit(spec);
  std::string fields;
  for (const Violation& violation : validate(spec)) {
    fields += (fields.empty() ? "" : " ") + violation.field;
  }
  return fields;
}

TEST(ValidateCommands, TakesACommandInPlaceOfAnApp) {
  EXPECT_EQ(broken(command(), [](AppSpec&) {}), "");
  EXPECT_EQ(broken(command(),
                   [](AppSpec& s) {
                     s.command = "sh -c 'a && b'";
                     s.workers = 1024;
                     s.env = {{"A", "1"}};
                     s.python = "/srv/venv/bin/python";
                     s.startsecs = Milliseconds{0};
                     s.stop_signal = "QUIT";
                     s.graceful_timeout = Milliseconds{0};
                     s.run_once = {"true"};
                   }),
            "");
  EXPECT_EQ(broken(app(),
                   [](AppSpec& s) {
                     s.run_once = {"manage.py migrate", "manage.py 'check it'"};
                     s.run_once_timeout = Milliseconds{1000};
                   }),
            "");
}

TEST(ValidateCommands, NamesEachFieldThatBreaksItsRule) {
  const std::pair<const char*, std::function<void(AppSpec&)>> cases[] = {
      {"spec.command", [](AppSpec& s) { s.command = " "; }},
      {"spec.command", [](AppSpec& s) { s.command = "'' x"; }},
      {"spec.command", [](AppSpec& s) { s.command = "a 'b"; }},
      {"spec.command", [](AppSpec& s) { s.command = "a && b"; }},
      {"spec.command", [](AppSpec& s) { s.command = std::string("a\0b", 3); }},
      {"spec.command", [](AppSpec& s) { s.command = std::string(16 * 1024 + 1, 'a'); }},
      {"spec.command", [](AppSpec& s) { s.app = "wsgi:app"; }},
      {"spec.bind", [](AppSpec& s) { s.bind = {"127.0.0.1:8000"}; }},
      {"spec.threads", [](AppSpec& s) { s.threads = 2; }},
      {"spec.worker_class", [](AppSpec& s) { s.worker_class = "sync"; }},
      {"spec.preload", [](AppSpec& s) { s.preload = Preload::Off; }},
      {"spec.timeout", [](AppSpec& s) { s.timeout = Milliseconds{1}; }},
      {"spec.keepalive", [](AppSpec& s) { s.keepalive = Milliseconds{1}; }},
      {"spec.access_log", [](AppSpec& s) { s.access_log = true; }},
      {"spec.ws_drain_timeout", [](AppSpec& s) { s.ws_drain_timeout = Milliseconds{1}; }},
      {"spec.startsecs", [](AppSpec& s) { s.startsecs = s.boot_timeout; }},
      {"spec.stop_signal", [](AppSpec& s) { s.stop_signal = "STOP"; }},
      {"spec.run_once[1]",
       [](AppSpec& s) {
         s.run_once = {"true", "a | b"};
       }},
      {"spec.run_once", [](AppSpec& s) { s.run_once.assign(33, "true"); }},
      {"spec.run_once_timeout", [](AppSpec& s) { s.run_once_timeout = Milliseconds{999}; }},
  };
  for (const auto& [field, edit] : cases) EXPECT_EQ(broken(command(), edit), field);
}

TEST(ValidateCommands, RefusesForAppsWhatIsForCommands) {
  EXPECT_EQ(broken(app(), [](AppSpec& s) { s.startsecs = Milliseconds{2}; }), "spec.startsecs");
  EXPECT_EQ(broken(app(), [](AppSpec& s) { s.stop_signal = "INT"; }), "spec.stop_signal");
}

TEST(ValidateCommands, SaysThatAnAppOrACommandIsNeeded) {
  AppSpec spec = command();
  spec.command.clear();
  const auto violations = validate(spec);
  ASSERT_EQ(violations.size(), 2U);
  EXPECT_NE(violations[0].description.find("or give a command"), std::string::npos);
}

TEST(StopSignal, HasANumber) {
  EXPECT_EQ(stop_signal_number("TERM"), SIGTERM);
  EXPECT_EQ(stop_signal_number("USR2"), SIGUSR2);
  EXPECT_EQ(stop_signal_number("STOP"), 0);
}

TEST(NeedsRollout, WhenTheCommandOrTheTasksAreOthers) {
  AppSpec other = command();
  other.command = "celery -A other worker";
  EXPECT_TRUE(needs_rollout(command(), other, "command"));
  other = command();
  other.run_once = {"true"};
  EXPECT_TRUE(needs_rollout(command(), other, "command"));
  EXPECT_EQ(with_code_of(other, command(), "command"), command());
  other = command();
  other.stop_signal = "INT";
  other.startsecs = Milliseconds{5};
  EXPECT_FALSE(needs_rollout(command(), other, "command")) << "these are live";
}

}  // namespace
}  // namespace appd::model
