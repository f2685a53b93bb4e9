// Contexts: the file, and which appd is meant in the end.
#include "ctl/contexts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "tests/support/temporary_directory.h"

namespace appd::ctl {
namespace {

class ContextsTest : public ::testing::Test {
 protected:
  ContextsTest() { variables["XDG_CONFIG_HOME"] = folder.path(); }
  Environment environment() {
    return [this](const char* name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
  }
  std::string path() { return contexts_path(environment()); }
  std::string chosen(const std::string& given = "", const std::string& context = "") {
    const Result<std::string> address = choose_address(given, context, 1000, environment());
    return address ? *address : "error: " + address.error().message;
  }

  const test::TemporaryDirectory folder;
  std::map<std::string, std::string> variables;
};

TEST_F(ContextsTest, SurviveTheFileWhichIsTheCallersAlone) {
  EXPECT_EQ(*read_contexts(path()), Contexts());
  const Contexts contexts{"b", {{"a", "unix:/a"}, {"b", "unix:/with \"quotes\""}}};
  ASSERT_TRUE(write_contexts(path(), contexts));
  EXPECT_EQ(*read_contexts(path()), contexts);
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(ContextsTest, AFileThatOthersMayWriteIsRefused) {
  ASSERT_TRUE(write_contexts(path(), {"", {{"a", "unix:/a"}}}));
  ASSERT_EQ(::chmod(path().c_str(), 0622), 0);
  EXPECT_NE(read_contexts(path()).error().message.find("chmod 600"), std::string::npos);
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  EXPECT_TRUE(read_contexts(path()));
}

TEST_F(ContextsTest, AFileThatIsNoneIsTold) {
  ASSERT_TRUE(write_contexts(path(), {}));
  for (const char* text :
       {"current = = 3", "[contexts.a]\n", "[contexts]\na = 3\n",
        "[contexts.a]\naddress = \"tcp:x\"\n", "[contexts.\"a b\"]\naddress = \"unix:/x\"\n"}) {
    std::ofstream(path()) << text;
    EXPECT_FALSE(read_contexts(path())) << text;
  }
}

TEST_F(ContextsTest, TheFirstThatSaysSoWins) {
  EXPECT_EQ(chosen(), "unix:/tmp/appd-1000/appd.sock");
  ASSERT_TRUE(write_contexts(path(), {"shop", {{"shop", "unix:/shop"}, {"lab", "unix:/lab"}}}));
  EXPECT_EQ(chosen(), "unix:/shop");
  EXPECT_EQ(chosen("", "lab"), "unix:/lab");
  variables["APPD_ADDRESS"] = "/environment";
  EXPECT_EQ(chosen(), "unix:/environment");
  EXPECT_EQ(chosen("", "lab"), "unix:/lab");
  EXPECT_EQ(chosen("unix:/given"), "unix:/given");
  variables["APPD_ADDRESS"] = "nonsense";
  EXPECT_EQ(chosen().substr(0, 7), "error: ");
}

TEST_F(ContextsTest, OneThatIsNotThereIsToldWithWhatWasPerhapsMeant) {
  ASSERT_TRUE(write_contexts(path(), {"gone", {{"shop", "unix:/shop"}}}));
  EXPECT_NE(chosen("", "shops").find("did you mean 'shop'?"), std::string::npos);
  EXPECT_NE(chosen().find("no context 'gone'"), std::string::npos);
}

TEST_F(ContextsTest, AreBelowHomeUnlessToldOtherwise) {
  variables.erase("XDG_CONFIG_HOME");
  EXPECT_EQ(path(), "");
  EXPECT_FALSE(write_contexts(path(), {}));
  EXPECT_EQ(chosen(), "unix:/tmp/appd-1000/appd.sock");
  variables["HOME"] = "/home/me";
  EXPECT_EQ(path(), "/home/me/.config/appd/appctl.toml");
}

TEST(ContextName, IsAWord) {
  for (const char* good : {"a", "shop-2.example_x"}) EXPECT_TRUE(valid_context_name(good));
  for (const char* bad : {"", "-a", "a b", "a/b", "é"}) EXPECT_FALSE(valid_context_name(bad));
  EXPECT_FALSE(valid_context_name(std::string(64, 'a')));
}

}  // namespace
}  // namespace appd::ctl
