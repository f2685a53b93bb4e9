// Access: which role each call needs.
#pragma once

#include <google/protobuf/descriptor.h>

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

// PERMISSION_DENIED / ROLE_TOO_LOW, if that is so.
std::optional<reconcile::Rejection> check_role(model::Role has,
                                               const google::protobuf::Descriptor& request);

}  // namespace appd::api
