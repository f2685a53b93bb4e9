// Roles and entrances, well and badly written.
#include "supervisor/model/access.h"

#include <gtest/gtest.h>

#include <tuple>

namespace appd::model {
namespace {

std::string why_not(std::string_view text) {
  const auto entrance = parse_entrance(text);
  return entrance ? "" : entrance.error().message;
}

TEST(Entrance, IsTheAdministratorsUnlessItSaysOtherwise) {
  Entrance plain;
  plain.address = *parse_address("unix:/run/appd.sock");
  EXPECT_EQ(*parse_entrance("unix:/run/appd.sock"), plain);
  EXPECT_EQ(std::tie(plain.role, plain.mode), std::make_tuple(Role::Admin, mode_t{0600}));
  Entrance full{*parse_address("unix:/run/v.sock"), Role::Viewer, 0660, "33", "staff", "", "", ""};
  EXPECT_EQ(*parse_entrance("unix:/run/v.sock,group=staff,mode=0660,role=viewer,owner=33"), full);
  EXPECT_EQ(parse_entrance("unix:/run/d.sock,role=deployer")->role, Role::Deployer);
}

TEST(Entrance, OnTcpHasTls) {
  const Entrance entrance =
      *parse_entrance("[::1]:7443,key=/k,client_ca=/ca,role=deployer,cert=/c");
  EXPECT_TRUE(entrance.is_tls());
  EXPECT_EQ(to_string(entrance.address), "[::1]:7443");
  EXPECT_EQ(std::tie(entrance.cert, entrance.key, entrance.client_ca),
            std::make_tuple("/c", "/k", "/ca"));
  EXPECT_EQ(entrance.role, Role::Deployer);
  EXPECT_FALSE(parse_entrance("unix:/s")->is_tls());
  for (const char* text : {"127.0.0.1:80", "127.0.0.1:80,cert=/c", "127.0.0.1:80,key=/k",
                           "127.0.0.1:80,client_ca=/ca,role=viewer"}) {
    EXPECT_NE(why_not(text).find("with TLS only: add ,cert=FILE,key=FILE"), std::string::npos);
  }
  EXPECT_NE(why_not("127.0.0.1:80,cert=c.pem").find("an absolute path"), std::string::npos);
  EXPECT_NE(why_not("127.0.0.1:80,mode=0600").find("client_ca="), std::string::npos);
  EXPECT_NE(why_not("unix:/s,cert=/c").find("mode="), std::string::npos);
  EXPECT_NE(why_not("example.com:80").find("numeric"), std::string::npos);
}

TEST(Rights, CoverTheirAppsOrAll) {
  const Rights all{Role::Deployer, {}};
  const Rights some{Role::Deployer, {"web", "api"}};
  EXPECT_TRUE(all.covers("other") && some.covers("api"));
  EXPECT_FALSE(some.covers("other") || some.covers("we") || some.covers(""));
  EXPECT_EQ(model::why_not(some), "");
  EXPECT_NE(model::why_not({Role::Admin, {"web"}}).find("no limit to apps would hold"),
            std::string::npos);
  EXPECT_NE(model::why_not({Role::Viewer, {"a/b"}}).find("no name of an app"), std::string::npos);
}

TEST(ClientRule, NamesAnOwnerARoleAndPerhapsApps) {
  EXPECT_EQ(*parse_client_rule("ci.example=admin"), (ClientRule{"ci.example", {Role::Admin, {}}}));
  EXPECT_EQ(*parse_client_rule("spiffe://a/b?c=d=deployer:web,api"),
            (ClientRule{"spiffe://a/b?c=d", {Role::Deployer, {"web", "api"}}}));
  for (const char* text : {"", "ci", "=admin", "ci=", "ci=boss", "ci=deployer:", "ci=viewer:web,",
                           "ci=viewer:Web", "ci=admin:web"}) {
    EXPECT_FALSE(parse_client_rule(text)) << text;
  }
}

TEST(Entrance, SaysWhatIsWrongWithIt) {
  EXPECT_NE(why_not("127.0.0.1:80").find("ssh -L"), std::string::npos);
  EXPECT_NE(why_not("unix:relative"), "");
  EXPECT_NE(why_not("unix:/s,role=root").find("viewer, deployer or admin"), std::string::npos);
  EXPECT_NE(why_not("unix:/s,mode=888").find("mode=0660"), std::string::npos);
  EXPECT_NE(why_not("unix:/s,mode=4755"), "");
  EXPECT_NE(why_not("unix:/s,mod=0660").find("\"mod\""), std::string::npos);
  EXPECT_NE(why_not("unix:/s,owner=").find("with a value"), std::string::npos);
  EXPECT_NE(why_not("unix:/s,").find("role="), std::string::npos);
  EXPECT_NE(why_not("unix:/s,mode=0660,mode=0600").find("twice"), std::string::npos);
}

TEST(Role, IsReadAsItIsWritten) {
  for (const Role role : {Role::Viewer, Role::Deployer, Role::Admin}) {
    EXPECT_EQ(parse_role(to_string(role)), role);
  }
  EXPECT_FALSE(parse_role("Admin"));
  EXPECT_LT(Role::Viewer, Role::Deployer);
  EXPECT_LT(Role::Deployer, Role::Admin);
}

}  // namespace
}  // namespace appd::model
