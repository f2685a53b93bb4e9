// Roles and entrances, well and badly written.
#include "supervisor/model/access.h"

#include <gtest/gtest.h>

namespace appd::model {
namespace {

std::string why_not(std::string_view text) {
  const auto entrance = parse_entrance(text);
  return entrance ? "" : entrance.error().message;
}

TEST(Entrance, IsTheAdministratorsUnlessItSaysOtherwise) {
  EXPECT_EQ(*parse_entrance("unix:/run/appd.sock"),
            (Entrance{"/run/appd.sock", Role::Admin, 0600, "", ""}));
  EXPECT_EQ(*parse_entrance("unix:/run/v.sock,group=staff,mode=0660,role=viewer,owner=33"),
            (Entrance{"/run/v.sock", Role::Viewer, 0660, "33", "staff"}));
  EXPECT_EQ(parse_entrance("unix:/run/d.sock,role=deployer")->role, Role::Deployer);
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
