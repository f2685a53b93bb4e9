// Access: what each call needs, and whether somebody's rights come to that.
#pragma once

#include <google/protobuf/message.h>

#include <optional>
#include <string>

#include "supervisor/model/access.h"
#include "supervisor/reconcile/control.h"

namespace appd::api {

// "ScaleApp" of a ScaleAppRequest: a method and its request share their name in this API.
std::string method_of(const google::protobuf::Descriptor& request);

// The role that a call with such a request needs. nullopt: nobody has said, and so only an admin
// may.
std::optional<model::Role> needed_role(const google::protobuf::Descriptor& request);

// PERMISSION_DENIED / ROLE_TOO_LOW, if that is so. `identity`: as model::Caller has it.
std::optional<reconcile::Rejection> check_role(model::Role has,
                                               const google::protobuf::Descriptor& request,
                                               const std::string& identity = "");

// PERMISSION_DENIED / APP_NOT_ALLOWED, if the request is about an app that the rights do not cover,
// or if it is about all apps and its method is none that then shows only those that are covered.
std::optional<reconcile::Rejection> check_apps(const model::Rights& rights,
                                               const google::protobuf::Message& request,
                                               const std::string& identity);
reconcile::Rejection app_not_allowed(const model::Rights& rights, const std::string& identity,
                                     const std::string& what);

}  // namespace appd::api
