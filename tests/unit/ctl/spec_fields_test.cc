// The table of fields: complete, and true to its values in both directions.
#include "ctl/spec_fields.h"

#include <gtest/gtest.h>

#include <set>

namespace appd::ctl {
namespace {

Result<void> assign_text(v1::AppSpec& spec, std::string_view name, std::string value) {
  return assign(spec, *find_spec_field(name), {&value, 1});
}

v1::AppSpec spec_with(std::string_view name, const std::string& value) {
  v1::AppSpec spec;
  EXPECT_TRUE(assign_text(spec, name, value)) << name << " " << value;
  return spec;
}

TEST(SpecFields, CoverTheProtoInItsOrder) {
  const auto* descriptor = v1::AppSpec::descriptor();
  ASSERT_EQ(spec_fields().size(), static_cast<std::size_t>(descriptor->field_count()));
  for (int i = 0; i < descriptor->field_count(); ++i) {
    EXPECT_EQ(spec_fields()[static_cast<std::size_t>(i)].name, descriptor->field(i)->name());
  }
}

TEST(SpecFields, HaveAFlagOfTheSameWord) {
  for (const SpecField& field : spec_fields()) {
    std::string flag = "--" + std::string(field.name);
    std::replace(flag.begin(), flag.end(), '_', '-');
    if (field.name == "warmup_paths") flag = "--warmup-path";
    EXPECT_EQ(field.flag, flag);
    EXPECT_FALSE(field.help.empty());
  }
}

TEST(SpecFields, DefaultsReadBackAsTheyAreWritten) {
  const v1::AppSpec spec = with_defaults({});
  for (const SpecField& field : spec_fields()) EXPECT_EQ(text_of(spec, field), field.default_value);
}

TEST(Assign, ReadsSizesDurationsAndChoices) {
  EXPECT_EQ(spec_with("limit_request_body", "64MiB").limit_request_body(), 64 << 20);
  EXPECT_EQ(spec_with("limit_request_line", "8K").limit_request_line(), 8192);
  EXPECT_EQ(spec_with("timeout", "1m30s").timeout().seconds(), 90);
  EXPECT_EQ(spec_with("keepalive", "0.5").keepalive().nanos(), 500'000'000);
  EXPECT_EQ(spec_with("preload", "off").preload(), v1::AppSpec::OFF);
  EXPECT_EQ(spec_with("run_mode", "STOPPED").run_mode(), v1::AppSpec::STOPPED);
}

TEST(Assign, ReadsNumbersAndPercentages) {
  EXPECT_EQ(spec_with("max_error_rate", "2.5").max_error_rate(), 2.5);
  EXPECT_EQ(spec_with("max_error_rate", "2.5%").max_error_rate(), 2.5);
  EXPECT_EQ(
      text_of(spec_with("max_latency_factor", "1.10"), *find_spec_field("max_latency_factor")),
      "1.1");
}

TEST(Assign, ReadsSwitches) {
  for (const char* on : {"on", "true", "Yes", "1"}) {
    EXPECT_TRUE(spec_with("access_log", on).access_log()) << on;
  }
  for (const char* off : {"off", "FALSE", "no", "0"}) {
    const v1::AppSpec spec = spec_with("ws_per_message_deflate", off);
    EXPECT_TRUE(spec.has_ws_per_message_deflate() && !spec.ws_per_message_deflate()) << off;
  }
}

TEST(Assign, AnEmptyListOfAddressesIsAValue) {
  const v1::AppSpec spec = spec_with("forwarded_allow_ips", "");
  EXPECT_TRUE(is_set(spec, *find_spec_field("forwarded_allow_ips")));
  const auto changes = diff({}, spec);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].from, "127.0.0.1,::1");
  EXPECT_EQ(changes[0].to, std::nullopt);
}

TEST(Assign, KeepsTheValueOfAVariableWhole) {
  EXPECT_EQ(spec_with("env", "DSN=a=b=c").env().at("DSN"), "a=b=c");
  EXPECT_EQ(spec_with("env", "EMPTY=").env().at("EMPTY"), "");
}

TEST(Assign, RefusesWhatCannotBeRepresented) {
  v1::AppSpec spec;
  const std::pair<const char*, const char*> cases[] = {
      {"workers", "abc"},
      {"workers", ""},
      {"workers", "4.5"},
      {"workers", "4K"},
      {"workers", "99999999999"},
      {"workers", "99999999999999999999999"},
      {"workers", "4 "},
      {"limit_request_body", "9223372036854775807GiB"},
      {"limit_request_body", "1TB"},
      {"preload", "maybe"},
      {"access_log", "maybe"},
      {"access_log", ""},
      {"preload", "preload_unspecified"},
      {"timeout", "soon"},
      {"max_error_rate", "few"},
      {"max_error_rate", ""},
      {"max_error_rate", "1 %"},
      {"max_error_rate", "nan"},
      {"max_error_rate", "inf"},
      {"env", "NOVALUE"},
      {"env", "=x"}};
  for (const auto& [name, value] : cases)
    EXPECT_FALSE(assign_text(spec, name, value)) << name << value;
}

TEST(Assign, LeavesRangesToAppd) {
  EXPECT_EQ(spec_with("workers", "100000").workers(), 100000);
  EXPECT_EQ(spec_with("workers", "-5").workers(), -5);
}

TEST(Diff, IsEmptyBetweenASpecAndItsDefaultsWrittenOut) {
  const v1::AppSpec bare = spec_with("directory", "/srv");
  EXPECT_TRUE(diff(bare, with_defaults(bare)).empty());
}

TEST(Diff, NamesEachFieldAndEachVariable) {
  v1::AppSpec from = spec_with("workers", "4");
  (*from.mutable_env())["A"] = "1";
  (*from.mutable_env())["B"] = "2";
  v1::AppSpec to = spec_with("workers", "17");
  (*to.mutable_env())["B"] = "3";
  (*to.mutable_env())["C"] = "4";
  to.add_bind("unix:/run/x");
  std::vector<std::string> lines;
  for (const FieldChange& change : diff(from, to)) {
    lines.push_back(change.field + " " + change.from.value_or("-") + " " + change.to.value_or("-"));
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"bind - unix:/run/x", "workers 4 17", "env.B 2 3",
                                             "env.C - 4", "env.A 1 -"}));
}

TEST(Diff, OfAnAnswerTellsWhichVariablesChangedAndNoValue) {
  v1::AppSpec from;
  v1::App to;
  for (const char* name : {"SAME", "OTHER", "GONE"}) (*from.mutable_env())[name] = "<redacted>";
  for (const char* name : {"SAME", "OTHER", "NEW"}) {
    (*to.mutable_spec()->mutable_env())[name] = "<redacted>";
  }
  to.add_changed_env("OTHER");
  to.add_changed_env("NEW");
  std::vector<std::string> lines;
  for (const FieldChange& change : diff(from, to)) {
    EXPECT_TRUE(change.hidden);
    lines.push_back(change.field + (change.from ? " was" : "") + (change.to ? " is" : ""));
  }
  EXPECT_EQ(lines, (std::vector<std::string>{"env.NEW is", "env.OTHER was is", "env.GONE was"}));
}

TEST(FlagOf, TurnsPathsOfTheApiIntoArguments) {
  EXPECT_EQ(flag_of("spec.workers"), "--workers");
  EXPECT_EQ(flag_of("app.spec.bind[1]"), "--bind");
  EXPECT_EQ(flag_of("spec.env.LANG"), "--env LANG");
  EXPECT_EQ(flag_of("spec.warmup_paths[0]"), "--warmup-path");
  EXPECT_EQ(flag_of("spec.app"), "--app");
  EXPECT_EQ(flag_of("app_id"), "NAME");
  EXPECT_EQ(flag_of("something.new"), "something.new");
}

}  // namespace
}  // namespace appd::ctl
