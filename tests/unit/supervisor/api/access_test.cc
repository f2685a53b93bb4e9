// Every method of the API has its role, and no other gets through.
#include "supervisor/api/access.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "appd/v1/apps.pb.h"
#include "appd/v1/logs.pb.h"
#include "appd/v1/workers.pb.h"

namespace appd::api {
namespace {

using enum model::Role;

// Of every file that is compiled in: a new one is looked at without being added here.
std::vector<const google::protobuf::MethodDescriptor*> all_methods() {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  const auto* pool = ::appd::v1::App::descriptor()->file()->pool();
  for (const auto& entry : std::filesystem::directory_iterator(APPD_PROTO_FOLDER "/appd/v1")) {
    const auto* file = pool->FindFileByName("appd/v1/" + entry.path().filename().string());
    if (file == nullptr) continue;
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.push_back(file->service(s)->method(m));
      }
    }
  }
  return methods;
}

TEST(Access, EveryMethodHasARoleOfItsOwn) {
  std::set<std::string> requests;
  ASSERT_GT(all_methods().size(), 20u);
  for (const auto* method : all_methods()) {
    EXPECT_TRUE(needed_role(*method->input_type())) << method->full_name() << " has no role";
    EXPECT_EQ(method->input_type()->name(), method->name() + "Request");
    EXPECT_TRUE(requests.insert(method->input_type()->full_name()).second) << method->full_name();
  }
}

TEST(Access, EachRoleGetsWhatItNeedsAndNothingElse) {
  for (const auto* method : all_methods()) {
    const auto& request = *method->input_type();
    for (const model::Role role : {Viewer, Deployer, Admin}) {
      const auto denied = check_role(role, request);
      EXPECT_EQ(denied.has_value(), role < *needed_role(request)) << method->full_name();
      if (!denied) continue;
      EXPECT_EQ(denied->error.code, ErrorCode::PermissionDenied);
      EXPECT_EQ(denied->error.reason, "ROLE_TOO_LOW");
      EXPECT_EQ(denied->error.message.rfind(method->name() + " needs the role ", 0), 0u);
    }
  }
}

TEST(Access, WhoLooksChangesNothing) {
  for (const auto* method : all_methods()) {
    const std::string& name = method->name();
    const bool looks = name.starts_with("Get") || name.starts_with("List") ||
                       name.starts_with("Watch") || name.starts_with("Read") ||
                       name == "WaitOperation";
    if (name == "ListTokens") continue;  // who may enter is for those who let in
    EXPECT_EQ(needed_role(*method->input_type()) == Viewer, looks) << name;
  }
}

TEST(Access, WhatNobodyHasThoughtOfIsForAdministrators) {
  const auto& unknown = *::appd::v1::App::descriptor();
  EXPECT_FALSE(needed_role(unknown));
  EXPECT_TRUE(check_role(Deployer, unknown));
  EXPECT_FALSE(check_role(Admin, unknown));
}

TEST(AccessToApps, IsWhatTheRightsCover) {
  const model::Rights some{Deployer, {"web", "api"}};
  const auto why = [&some](const google::protobuf::Message& request) {
    const auto denied = check_apps(some, request, "token ci");
    return denied ? denied->error.reason + ": " + denied->error.message : "";
  };
  ::appd::v1::ScaleAppRequest scale;
  scale.set_name("apps/web");
  EXPECT_EQ(why(scale), "");
  scale.set_name("apps/shop");
  EXPECT_EQ(why(scale).rfind("APP_NOT_ALLOWED: token ci is for web, api only", 0), 0u)
      << why(scale);
  EXPECT_FALSE(check_apps({Deployer, {}}, scale, "token ci"));

  ::appd::v1::ListWorkersRequest list;
  list.set_parent("apps/api");
  EXPECT_EQ(why(list), "");
  list.set_parent("apps/apix");
  EXPECT_NE(why(list), "");
  list.set_parent("apps/-");
  EXPECT_EQ(why(list), "") << "it shows only what is covered";
  ::appd::v1::DumpStacksRequest stacks;
  stacks.set_name("apps/web/workers/3");
  EXPECT_EQ(why(stacks), "");
  stacks.set_name("apps/webb/workers/3");
  EXPECT_NE(why(stacks), "");
  ::appd::v1::ReopenLogsRequest reopen;
  reopen.set_name("apps/-");
  EXPECT_NE(why(reopen).find("about all apps"), std::string::npos);
}

TEST(AccessToApps, AListOrAWatchOfAllAppsIsForWhomIsLimitedTo) {
  const model::Rights some{Viewer, {"web"}};
  google::protobuf::DynamicMessageFactory factory;
  for (const auto* method : all_methods()) {
    const auto* type = method->input_type();
    const bool lists = method->name().starts_with("List") || method->name().starts_with("Watch");
    if (!lists || *needed_role(*type) != Viewer || method->name() == "ListRevisions") continue;
    const std::unique_ptr<google::protobuf::Message> request(factory.GetPrototype(type)->New());
    if (const auto* parent = type->FindFieldByName("parent")) {
      request->GetReflection()->SetString(request.get(), parent, "apps/-");
    }
    EXPECT_FALSE(check_apps(some, *request, "token ci")) << method->full_name();
  }
}

// Whoever adds a method need not think of limits to be safe: it must name its app.
TEST(AccessToApps, OfWhatNamesNoneIsDeniedUnlessItIsKnownToShowOnlyThose) {
  const model::Rights some{Admin, {"web"}};
  std::set<std::string> allowed;
  google::protobuf::DynamicMessageFactory factory;
  for (const auto* method : all_methods()) {
    const std::unique_ptr<google::protobuf::Message> request(
        factory.GetPrototype(method->input_type())->New());
    if (!check_apps(some, *request, "token ci")) allowed.insert(method->name());
  }
  EXPECT_EQ(allowed,
            (std::set<std::string>{"ListApps", "ListWorkers", "ListDeaths", "ListOperations",
                                   "GetOperation", "CancelOperation", "WaitOperation", "Watch",
                                   "WatchStats", "ListRequests", "GetServerInfo"}));
}

}  // namespace
}  // namespace appd::api
