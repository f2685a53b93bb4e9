// Contexts: the file, and which appd is meant in the end.
#include "ctl/contexts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
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
    const Result<Target> target = chosen_target({given, "", "", "", "", ""}, context);
    return target ? target->address : "error: " + target.error().message;
  }
  Result<Target> chosen_target(const Target& given, const std::string& context = "") {
    return choose_target(given, context, 1000, environment());
  }
  static Target at(const std::string& address) { return {address, "", "", "", "", ""}; }

  const test::TemporaryDirectory folder;
  std::map<std::string, std::string> variables;
};

TEST_F(ContextsTest, SurviveTheFileWhichIsTheCallersAlone) {
  EXPECT_EQ(*read_contexts(path()), Contexts());
  const Contexts contexts{
      "b",
      {{"a", at("unix:/a")},
       {"b", {"db.example:7443", "/ca \"quoted\"", "/cert", "/key", "/token", ""}}}};
  ASSERT_TRUE(write_contexts(path(), contexts));
  EXPECT_EQ(*read_contexts(path()), contexts);
  struct stat status {};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(ContextsTest, AFileThatOthersMayWriteIsRefused) {
  ASSERT_TRUE(write_contexts(path(), {"", {{"a", at("unix:/a")}}}));
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
  ASSERT_TRUE(
      write_contexts(path(), {"shop", {{"shop", at("unix:/shop")}, {"lab", at("unix:/lab")}}}));
  EXPECT_EQ(chosen(), "unix:/shop");
  EXPECT_EQ(chosen("", "lab"), "unix:/lab");
  variables["APPD_ADDRESS"] = "/environment";
  EXPECT_EQ(chosen(), "unix:/environment");
  EXPECT_EQ(chosen("", "lab"), "unix:/lab");
  EXPECT_EQ(chosen("unix:/given"), "unix:/given");
  variables["APPD_ADDRESS"] = "nonsense";
  EXPECT_EQ(chosen().substr(0, 7), "error: ");
}

TEST_F(ContextsTest, CredentialsAreTheOptionsThenTheContextsThenTheEnvironments) {
  const Target shop{"shop:7443", "/shop-ca", "", "", "/shop-token", ""};
  ASSERT_TRUE(write_contexts(path(), {"shop", {{"shop", shop}}}));
  EXPECT_EQ(*chosen_target({}), shop);
  variables["APPD_CA"] = "/ca";
  variables["APPD_TOKEN"] = "appd_x";
  EXPECT_EQ(*chosen_target({}), shop);  // a token file of the context's own
  variables["APPD_ADDRESS"] = "lab:7443";
  EXPECT_EQ(*chosen_target({}), (Target{"lab:7443", "/ca", "", "", "", "appd_x"}));
  EXPECT_EQ(*chosen_target({"", "/mine", "", "", "/file", ""}),
            (Target{"lab:7443", "/mine", "", "", "/file", ""}));
}

TEST_F(ContextsTest, CredentialsThatAreNoneAreTold) {
  const auto why = [](const Target& target) {
    const auto read = read_credentials(target);
    return read ? "" : read.error().message;
  };
  EXPECT_NE(why({"a:1", "", "/cert", "", "", ""}).find("belong together"), std::string::npos);
  EXPECT_NE(why({"a:1", "/no/such", "", "", "", ""}).find("--ca: cannot read /no/such"),
            std::string::npos);
  EXPECT_NE(why({"a:1", "", "", "", "", "with blank"}).find("holds no token"), std::string::npos);
  const std::string file = folder.path() + "/token";
  std::ofstream(file) << "appd_secret \r\nnot this\n";
  EXPECT_EQ(read_credentials({"a:1", "", "", "", file, ""})->token, "appd_secret");
  EXPECT_NE(why({"a:1", file, "", "", "", ""}).find("is no PEM file"), std::string::npos);
}

TEST_F(ContextsTest, OneThatIsNotThereIsToldWithWhatWasPerhapsMeant) {
  ASSERT_TRUE(write_contexts(path(), {"gone", {{"shop", at("unix:/shop")}}}));
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
