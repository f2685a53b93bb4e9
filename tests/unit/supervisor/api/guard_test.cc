// Who is believed to be whom, and what they may do.
#include "supervisor/api/guard.h"

#include <gtest/gtest.h>

#include <set>

#include "appd/v1/apps.pb.h"
#include "supervisor/api/secret.h"
#include "tests/unit/supervisor/api/fake_control.h"

namespace appd::api {
namespace {

using enum model::Role;
using std::chrono::seconds;

class GuardTest : public testing::Test {
 protected:
  GuardTest() {
    tls.tls = true;
    tls.most = Admin;
    tls.caller.address = "10.0.0.7:5";
    socket.caller.uid = 7;
    socket.most = Deployer;
    control.set_tokens({token("ci", "appd_ci", {Deployer, {"web"}}, now + seconds(60)),
                        token("old", "appd_old", {Admin, {}}, now - seconds(1)),
                        token("root", "appd_root", {Admin, {}}, {})});
  }
  static model::Token token(const std::string& id, const std::string& secret, model::Rights rights,
                            std::optional<model::WallTime> expires) {
    return {id, hash_secret(secret), std::move(rights), {}, expires, ""};
  }
  Answer<Identity> bearer(const runtime::Connection& connection, const std::string& text) {
    return guard.identify(connection, {{}, text}, now);
  }
  Answer<Identity> certificate(std::vector<std::string> names) {
    return guard.identify(tls, {std::move(names), {}}, now);
  }
  static std::string reason(const Answer<Identity>& answer) {
    return answer ? "" : answer.rejection().error.reason;
  }

  const model::WallTime now{seconds(1'800'000'000)};
  FakeControl control;
  runtime::Connection tls;
  runtime::Connection socket;
  Guard guard{control,
              {{{"spiffe://x/ci", {Viewer, {}}}, {"ci.example", {Deployer, {"web", "api"}}}}, 2}};
};

TEST_F(GuardTest, ASocketsFileIsEnough) {
  const auto identity = guard.identify(socket, {}, now);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity.value().caller, socket.caller);
  EXPECT_EQ(identity.value().rights, (model::Rights{Deployer, {}}));
}

TEST_F(GuardTest, WithTlsOneHasToSayWhoOneIs) {
  EXPECT_EQ(reason(guard.identify(tls, {}, now)), "CREDENTIALS_MISSING");
}

TEST_F(GuardTest, ATokenDecides) {
  const auto identity = bearer(tls, "Bearer appd_ci");
  ASSERT_TRUE(identity);
  EXPECT_EQ(describe(identity.value().caller), "token ci from 10.0.0.7:5");
  EXPECT_EQ(identity.value().rights, (model::Rights{Deployer, {"web"}}));
  EXPECT_EQ(identity.value().expire_time, now + seconds(60));
  EXPECT_TRUE(bearer(tls, "bearer appd_root"));
}

TEST_F(GuardTest, ATokenThatIsNoneIsRefusedEverywhere) {
  for (const auto* connection : {&tls, &socket}) {
    EXPECT_EQ(reason(bearer(*connection, "Bearer appd_other")), "TOKEN_UNKNOWN");
    EXPECT_EQ(reason(bearer(*connection, "Bearer appd_old")), "TOKEN_EXPIRED");
    for (const char* text : {"", "Bearer ", "Basic YTpi", "appd_ci", "Bearerappd_ci"}) {
      EXPECT_EQ(reason(bearer(*connection, text)), "TOKEN_UNKNOWN") << text;
    }
  }
  EXPECT_EQ(bearer(tls, "").rejection().error.code, ErrorCode::Unauthenticated);
}

TEST_F(GuardTest, NobodyGetsMoreThanTheEntranceAllows) {
  EXPECT_EQ(bearer(socket, "Bearer appd_root").value().rights, (model::Rights{Deployer, {}}));
  tls.most = Viewer;
  EXPECT_EQ(bearer(tls, "Bearer appd_ci").value().rights, (model::Rights{Viewer, {"web"}}));
  EXPECT_EQ(certificate({"ci.example"}).value().rights.role, Viewer);
}

TEST_F(GuardTest, ACertificateIsFoundByTheFirstOfItsNamesThatHasARule) {
  EXPECT_EQ(certificate({"spiffe://other", "ci.example"}).value().rights,
            (model::Rights{Deployer, {"web", "api"}}));
  const auto both = certificate({"spiffe://x/ci", "ci.example"});
  EXPECT_EQ(both.value().rights.role, Viewer);
  EXPECT_EQ(both.value().caller.identity, "certificate spiffe://x/ci");
  EXPECT_EQ(reason(certificate({"CI.example", "ci.example.com"})), "CLIENT_UNKNOWN");
}

TEST_F(GuardTest, WhatIsBelievedMayBeSoNoMore) {
  const Identity identity = bearer(tls, "Bearer appd_ci").value();
  EXPECT_FALSE(guard.recheck(identity, now));
  EXPECT_EQ(guard.recheck(identity, now + seconds(60))->error.reason, "TOKEN_EXPIRED");
  control.set_tokens({token("ci", "appd_another", {Deployer, {}}, {})});
  EXPECT_EQ(guard.recheck(identity, now)->error.reason, "TOKEN_UNKNOWN");
  EXPECT_FALSE(guard.recheck(guard.identify(socket, {}, now).value(), now));
}

TEST_F(GuardTest, ChangesAreCountedForEachCallerAndLooksAreNot) {
  const Identity ci = bearer(tls, "Bearer appd_ci").value();
  const Identity root = bearer(tls, "Bearer appd_root").value();
  ::appd::v1::ScaleAppRequest change;
  change.set_name("apps/web");
  ::appd::v1::GetAppRequest look;
  look.set_name("apps/web");
  const model::RateLimit::Time start{seconds(1000)};
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(guard.check(ci, change, start));
  const auto denied = guard.check(ci, change, start);
  ASSERT_TRUE(denied);
  EXPECT_EQ(denied->error.reason, "RATE_LIMITED");
  EXPECT_EQ(denied->error.code, ErrorCode::ResourceExhausted);
  EXPECT_FALSE(guard.check(ci, look, start));
  EXPECT_FALSE(guard.check(root, change, start));
  EXPECT_FALSE(guard.check(ci, change, start + seconds(1)));
}

TEST_F(GuardTest, ARoleIsCheckedByTheTypeOfARequestThatNobodyHasRead) {
  const Identity ci = bearer(tls, "Bearer appd_ci").value();
  EXPECT_EQ(guard.check_role(ci, *::appd::v1::DeleteAppRequest::descriptor())->error.reason,
            "ROLE_TOO_LOW");
  EXPECT_FALSE(guard.check_role(ci, *::appd::v1::ScaleAppRequest::descriptor()));
}

TEST_F(GuardTest, WhatOneMayNotIsNotCounted) {
  const Identity ci = bearer(tls, "Bearer appd_ci").value();
  ::appd::v1::ScaleAppRequest other;
  other.set_name("apps/shop");
  const model::RateLimit::Time start{seconds(1000)};
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(guard.check(ci, other, start)->error.reason, "APP_NOT_ALLOWED");
  }
}

TEST(Secret, IsLongRandomAndKnownByItsBeginning) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string secret = new_secret();
    EXPECT_EQ(secret.size(), 48U);
    EXPECT_EQ(secret.rfind("appd_", 0), 0U);
    EXPECT_EQ(secret.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                       "0123456789-_"),
              std::string::npos);
    EXPECT_TRUE(seen.insert(secret).second);
  }
}

TEST(Secret, IsHashedAsSha256) {  // FIPS 180-2, appendix B.1
  EXPECT_EQ(hash_secret("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(same_hash(hash_secret("abc"), hash_secret("abc")));
  EXPECT_FALSE(same_hash(hash_secret("abc"), hash_secret("abd")));
  EXPECT_FALSE(same_hash("", hash_secret("abc")));
}

}  // namespace
}  // namespace appd::api
