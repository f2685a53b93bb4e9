// AppSpec between the API and the core, both ways, and what an update_mask makes of it (AIP-134).
#pragma once

#include <google/protobuf/field_mask.pb.h>

#include "appd/v1/apps.pb.h"
#include "supervisor/api/names.h"
#include "supervisor/model/app_spec.h"

namespace appd::api {

namespace v1 = ::appd::v1;

// Every field is set in the answer, defaults too: what is shown is what is in effect. Of env only
// the names are shown, to everybody.
void to_proto(const model::AppSpec& spec, v1::AppSpec& out);

// A whole spec; what is not set takes its default, and so does what the model cannot express, which
// is told in `unreadable`: durations that are none, enumerators that do not exist. The model's own
// rules are the core's to check.
model::AppSpec to_model(const v1::AppSpec& spec, std::vector<model::Violation>& unreadable);

// What `mask` takes over from `spec`, to be done to the present spec later, on any thread.
//   no mask        the fields that are set
//   "*", "spec"    all fields: what is not set returns to its default
//   "spec.F"       the field F likewise
//   "spec.env.N"   the variable N; removed when spec.env has none
// Any other path is REQUEST_INVALID.
Answer<reconcile::SpecEdit> to_edit(const v1::AppSpec& spec,
                                    const google::protobuf::FieldMask* mask);

}  // namespace appd::api
