// Addresses, and paths that stay what the caller meant.
#include "ctl/surroundings.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <map>

namespace appd::ctl {
namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

TEST(DefaultAddress, DependsOnTheUser) {
  EXPECT_EQ(default_address(0, environment({{"XDG_RUNTIME_DIR", "/run/user/0"}})),
            "unix:/run/appd/appd.sock");
  EXPECT_EQ(default_address(1000, environment({{"XDG_RUNTIME_DIR", "/run/user/1000"}})),
            "unix:/run/user/1000/appd/appd.sock");
  EXPECT_EQ(default_address(1000, environment({})), "unix:/tmp/appd-1000/appd.sock");
}

TEST(ParseAddress, TakesUnixAddressesAndBarePaths) {
  EXPECT_EQ(*parse_address("unix:/run/a.sock"), "unix:/run/a.sock");
  EXPECT_EQ(*parse_address("unix:///run/a.sock"), "unix:/run/a.sock");
  EXPECT_EQ(*parse_address("unix:a.sock"), "unix:a.sock");
  EXPECT_EQ(*parse_address("./a.sock"), "unix:./a.sock");
  for (const char* text : {"", "unix:", "appd"}) EXPECT_FALSE(parse_address(text)) << text;
}

TEST(ParseAddress, TakesHostsAndPorts) {
  for (const char* text : {"localhost:80", "db-1.example:65535", "10.0.0.1:1", "[::1]:7443"}) {
    EXPECT_EQ(*parse_address(text), text);
    EXPECT_FALSE(is_unix_address(text));
  }
  for (const char* text : {"host:", "host:0", "host:65536", "host:80x", ":80", "tcp:1.2.3.4:5",
                           "::1:80", "[]:80", "a b:80"}) {
    EXPECT_FALSE(parse_address(text)) << text;
  }
}

TEST(AbsolutePath, TakesOutDotsThatCannotMislead) {
  EXPECT_EQ(absolute_path("app", "/srv"), "/srv/app");
  EXPECT_EQ(absolute_path(".", "/srv"), "/srv");
  EXPECT_EQ(absolute_path("./a/./b/", "/srv"), "/srv/a/b");
  EXPECT_EQ(absolute_path("../x", "/srv/app"), "/srv/x");
  EXPECT_EQ(absolute_path("../../../x", "/srv/app"), "/x");
  EXPECT_EQ(absolute_path("/opt/venv/bin/python", "/srv"), "/opt/venv/bin/python");
}

TEST(AbsolutePath, KeepsDotDotBehindANameThatMayBeALink) {
  EXPECT_EQ(absolute_path("current/../x", "/srv"), "/srv/current/../x");
  EXPECT_EQ(absolute_path("/a/../b", "/srv"), "/a/../b");
}

TEST(ResolveProgram, LooksANameUpInPathButNotAPath) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("ctl-path-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string program = (folder / "python9").string();
  std::fclose(std::fopen(program.c_str(), "w"));
  const Environment path = environment({{"PATH", "relative::/nowhere:" + folder.string()}});
  EXPECT_FALSE(resolve_program("python9", "/srv", path));  // not executable
  ::chmod(program.c_str(), 0755);
  EXPECT_EQ(*resolve_program("python9", "/srv", path), program);
  EXPECT_EQ(*resolve_program("venv/bin/python", "/srv", path), "/srv/venv/bin/python");
  EXPECT_FALSE(resolve_program("no-such-python", "/srv", path));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace appd::ctl
