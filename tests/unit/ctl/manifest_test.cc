// Manifests: the shapes that are taken, and that every mistake is shown where it is.
#include "ctl/manifest.h"

#include <gtest/gtest.h>

#include "ctl/json.h"
#include "ctl/render.h"
#include "tests/support/temporary_directory.h"

namespace appd::ctl {
namespace {

std::optional<std::string> no_environment(const char*) { return std::nullopt; }

Manifest toml(std::string_view text) {
  return parse_manifest(text, DocumentFormat::Toml, "apps.toml", "/srv", no_environment);
}
Manifest json(std::string_view text) {
  return parse_manifest(text, DocumentFormat::Json, "apps.json", "/srv", no_environment);
}

std::string problems(const Manifest& manifest) {
  std::string out;
  for (const Problem& problem : manifest.problems) {
    out += std::to_string(problem.at.line) + ":" + std::to_string(problem.at.column) + " " +
           problem.message + "\n";
  }
  return out;
}

constexpr std::string_view kTwoApps = R"([apps.web]
directory = "web"
app = "wsgi:app"
bind = ["127.0.0.1:8000", "unix:/run/web.sock"]
workers = 17
timeout = "1m30s"
keepalive = 2.5
preload = "off"
env = {LANG = "C", LEVEL = 3, DEBUG = false}
limit_request_body = "64MiB"
python = "../venv/bin/python"

[apps.api]
directory = "/opt/api"
app = "main:app"
bind = "127.0.0.1:8001"
)";

TEST(Manifest, TheModeOfASocketIsAString) {
  EXPECT_EQ(toml("[apps.web]\nunix_socket_mode = '0660'\n").apps[0].spec.unix_socket_mode(),
            "0660");
  EXPECT_EQ(problems(toml("[apps.web]\nunix_socket_mode = 0o660\n")),
            "2:20 unix_socket_mode: wants a string of octal digits, \"0660\", this is a number\n");
}

TEST(Manifest, ReadsTomlWithSeveralApps) {
  const Manifest manifest = toml(kTwoApps);
  ASSERT_EQ(problems(manifest), "");
  ASSERT_EQ(manifest.apps.size(), 2U);
  const v1::AppSpec& web = manifest.apps[0].spec;
  EXPECT_EQ(manifest.apps[0].id, "web");
  EXPECT_EQ(web.directory(), "/srv/web");
  EXPECT_EQ(web.python(), "/venv/bin/python");
  EXPECT_EQ(web.bind_size(), 2);
  EXPECT_EQ(web.workers(), 17);
  EXPECT_EQ(web.timeout().seconds(), 90);
  EXPECT_EQ(web.keepalive().seconds(), 2);
  EXPECT_EQ(web.preload(), v1::AppSpec::OFF);
  EXPECT_EQ(web.env().at("LEVEL"), "3");
  EXPECT_EQ(web.env().at("DEBUG"), "false");
  EXPECT_EQ(web.limit_request_body(), 64 << 20);
  EXPECT_EQ(manifest.apps[0].fields.at("workers").line, 5);
  EXPECT_EQ(manifest.apps[1].spec.bind(0), "127.0.0.1:8001");
}

TEST(Manifest, ReadsJsonOfTheSameShape) {
  const Manifest manifest = json(R"({"apps": {"web": {"directory": "/srv/web", "app": "a:b",
    "bind": ["127.0.0.1:1"], "workers": 2, "env": {"A": "b"}}}})");
  ASSERT_EQ(problems(manifest), "");
  ASSERT_EQ(manifest.apps.size(), 1U);
  EXPECT_EQ(manifest.apps[0].spec.workers(), 2);
  EXPECT_EQ(manifest.apps[0].spec.env().at("A"), "b");
  EXPECT_EQ(manifest.apps[0].fields.at("workers").line, 2);
}

TEST(Manifest, ReadsBackWhatGetAndListPrintAsJson) {
  v1::App app;
  app.set_name("apps/web");
  app.set_etag("W/\"7\"");
  app.mutable_observed()->set_ready_workers(3);
  *app.mutable_spec() = with_defaults(toml(kTwoApps).apps[0].spec);
  const Manifest one = json(*to_json(app));
  ASSERT_EQ(problems(one), "");
  EXPECT_TRUE(diff(one.apps[0].spec, app.spec()).empty());
  v1::ListAppsResponse list;
  *list.add_apps() = app;
  app.set_name("apps/api");
  *list.add_apps() = app;
  const Manifest both = json(*to_json(list));
  ASSERT_EQ(problems(both), "");
  EXPECT_EQ(both.apps[1].id, "api");
}

TEST(Manifest, RefusesUnknownKeysWithTheirPlaceAndASuggestion) {
  EXPECT_EQ(problems(toml("[apps.web]\ndirectory = '/x'\nworker = 3\n")),
            "3:1 unknown key 'worker' in apps.web; did you mean 'workers'?\n");
  EXPECT_EQ(problems(json("{\"apps\": {\"web\": {\n  \"tiemout\": 3}}}")),
            "2:3 unknown key 'tiemout' in apps.web; did you mean 'timeout'?\n");
  EXPECT_EQ(problems(toml("[app.web]\n")), "1:2 unknown key 'app'; did you mean 'apps'?\n");
}

TEST(Manifest, ReportsAllProblemsAtOnce) {
  const Manifest manifest = toml("[apps.a]\nworkers = 'x'\ntimeout = '3x'\nbind = [1]\nenv = 3\n");
  EXPECT_EQ(manifest.problems.size(), 4U);
}

TEST(Manifest, RefusesWrongKinds) {
  EXPECT_EQ(problems(toml("[apps.a]\nworkers = [1]\n")),
            "2:11 workers: wants one value, this is a list\n");
  EXPECT_EQ(problems(toml("[apps]\na = 3\n")),
            "2:1 an app is a table of settings, this is a number\n");
  EXPECT_EQ(problems(toml("apps = 3\n")), "1:8 'apps' is a table of apps, this is a number\n");
  EXPECT_FALSE(toml("[apps.a]\ntimeout = 1979-05-27\n").problems.empty());
  EXPECT_FALSE(json("[]").problems.empty());
  EXPECT_FALSE(json("{\"apps\": {\"a\": {\"workers\": null}}}").problems.empty());
}

TEST(Manifest, RefusesAnEmptyOne) {
  EXPECT_FALSE(toml("").problems.empty());
  EXPECT_FALSE(toml("# nothing\n").problems.empty());
  EXPECT_FALSE(toml("[apps]\n").problems.empty());
  EXPECT_FALSE(json("{}").problems.empty());
}

TEST(Manifest, RefusesAnAppThatIsGivenTwice) {
  EXPECT_FALSE(json(R"({"apps": {"a": {}, "a": {}}})").problems.empty());
  EXPECT_FALSE(json(R"({"apps": [{"name": "a", "spec": {}}, {"name": "apps/a", "spec": {}}]})")
                   .problems.empty());
}

TEST(Manifest, ShowsMalformedTomlWithItsLine) {
  constexpr std::string_view kText = "[apps.a]\nworkers = = 4\n";
  const Manifest manifest = toml(kText);
  ASSERT_EQ(manifest.problems.size(), 1U);
  EXPECT_EQ(manifest.problems[0].at.line, 2);
  const std::string shown = render_problems(manifest, kText);
  EXPECT_EQ(shown.rfind("apps.toml:2:", 0), 0U) << shown;
  EXPECT_NE(shown.find("\n  2 | workers = = 4\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find('^'), std::string::npos) << shown;
}

TEST(Manifest, NeverRepeatsALineThatMayHoldASecret) {
  for (const std::string text : {
           "[apps.a]\nenv = {TOKEN = \"s3cret\n",
           "[apps.a.env]\nTOKEN = s3cret\n",
           "[apps.a.env]\nLANG = \"C\"\n\nTOKEN = \"s3cret\n",
           "[apps.a]\nenv = [\"TOKEN=s3cret\"]\n",
       }) {
    const Manifest manifest = toml(text);
    ASSERT_EQ(manifest.problems.size(), 1U) << text;
    EXPECT_EQ(render_problems(manifest, text).find("s3cret"), std::string::npos)
        << render_problems(manifest, text);
  }
  for (const std::string text : {
           "{\"apps\": {\"a\": {\"env\": {\n\"TOKEN\": \"s3cret\n\"}}}}",
           "{\"apps\": {\"a\": {\"env\": {\"TOKEN\": \"s3cret\\q\"}}}}",
           "{\"apps\": {\"a\": {\"env\":\n{\"LANG\": \"C\",\n\"TOKEN\": s3cret}}}}",
       }) {
    const Manifest manifest = json(text);
    ASSERT_EQ(manifest.problems.size(), 1U) << text;
    EXPECT_EQ(render_problems(manifest, text).find("s3cret"), std::string::npos)
        << render_problems(manifest, text);
  }
  constexpr std::string_view kBehind = "[apps.a.env]\nLANG = \"C\"\n[apps.b]\nworkers = = 4\n";
  EXPECT_NE(render_problems(toml(kBehind), kBehind).find("| workers = = 4"), std::string::npos);
}

TEST(Manifest, ReadsSecretsFromFilesBesideIt) {
  const test::TemporaryDirectory folder;
  folder.write("token", "s3cret\n");
  const auto parse = [&](std::string_view text) {
    return parse_manifest(text, DocumentFormat::Toml, "apps.toml", folder.path(),
                          [](const char*) { return std::nullopt; });
  };
  const Manifest manifest = parse("[apps.a]\nsecret_env = {TOKEN = 'token'}\nenv = {LANG = 'C'}\n");
  ASSERT_TRUE(manifest.problems.empty()) << problems(manifest);
  EXPECT_EQ(manifest.apps[0].spec.env().at("TOKEN"), "s3cret");
  EXPECT_EQ(manifest.apps[0].spec.env().at("LANG"), "C");
  for (const char* wrong : {"TOKEN = 'nowhere'", "TOKEN = 3", "LANG = 'token'"}) {
    const Manifest refused =
        parse("[apps.a]\nenv = {LANG = 'C'}\nsecret_env = {" + std::string(wrong) + "}\n");
    EXPECT_EQ(refused.problems.size(), 1U) << wrong;
  }
  EXPECT_EQ(parse("[apps.a]\nsecret_env = 3\n").problems.size(), 1U);
}

TEST(Manifest, ShowsMalformedJsonWithItsLine) {
  const Manifest manifest = json("{\"apps\":\n  {,}}");
  ASSERT_EQ(manifest.problems.size(), 1U);
  EXPECT_EQ(manifest.problems[0].at.line, 2);
}

TEST(Manifest, EndsDeepNestingEarly) {
  EXPECT_FALSE(json(std::string(100'000, '[')).problems.empty());
  EXPECT_FALSE(toml("a = " + std::string(100'000, '[')).problems.empty());
}

TEST(Manifest, EscapesWhatItQuotes) {
  constexpr std::string_view kText = "[apps.a]\n\"\\u001b[2J\" = 1\n";
  EXPECT_EQ(render_problems(toml(kText), kText).find('\x1b'), std::string::npos);
}

TEST(GuessFormat, GoesByNameThenByFirstCharacter) {
  EXPECT_EQ(guess_format("a.json", "x"), DocumentFormat::Json);
  EXPECT_EQ(guess_format("a.toml", "{"), DocumentFormat::Toml);
  EXPECT_EQ(guess_format("-", "  {\"a\": 1}"), DocumentFormat::Json);
  EXPECT_EQ(guess_format("-", "[apps.a]"), DocumentFormat::Toml);
}

}  // namespace
}  // namespace appd::ctl
