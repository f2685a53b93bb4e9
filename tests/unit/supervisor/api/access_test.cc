// Every method of the API has its role, and no other gets through.
#include "supervisor/api/access.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "appd/v1/apps.pb.h"

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
    EXPECT_EQ(needed_role(*method->input_type()) == Viewer, looks) << name;
  }
}

TEST(Access, WhatNobodyHasThoughtOfIsForAdministrators) {
  const auto& unknown = *::appd::v1::App::descriptor();
  EXPECT_FALSE(needed_role(unknown));
  EXPECT_TRUE(check_role(Deployer, unknown));
  EXPECT_FALSE(check_role(Admin, unknown));
}

}  // namespace
}  // namespace appd::api
