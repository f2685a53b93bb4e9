// AppSpec both ways, and update masks.
#include "supervisor/api/spec_convert.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

namespace appd::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::util::MessageDifferencer;

// Every field of the message set to a value of its own, none of which is a default. Made by
// reflection, so that a new field is tested without a word here.
v1::AppSpec full_spec() {
  v1::AppSpec spec;
  const auto* reflection = spec.GetReflection();
  for (int i = 0; i < spec.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = spec.GetDescriptor()->field(i);
    const std::string text = "value of " + field->name();
    if (field->is_map()) {
      (*spec.mutable_env())["NAME"] = "<redacted>";  // all that is ever shown
    } else if (field->is_repeated()) {
      reflection->AddString(&spec, field, text);
      reflection->AddString(&spec, field, text + " again");
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      reflection->SetString(&spec, field, text);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
      reflection->SetInt32(&spec, field, 1000 + i);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
      reflection->SetInt64(&spec, field, 1000 + i);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE) {
      reflection->SetDouble(&spec, field, 1000.5 + i);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
      v1::AppSpec defaults;
      to_proto(model::AppSpec{}, defaults);
      reflection->SetBool(&spec, field, !reflection->GetBool(defaults, field));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      reflection->SetEnumValue(&spec, field, 2);
    } else {
      auto* duration =
          static_cast<google::protobuf::Duration*>(reflection->MutableMessage(&spec, field));
      duration->set_seconds(1000 + i);
      duration->set_nanos(7'000'000);
    }
  }
  return spec;
}

std::string fields_of(const Rejection& rejection) {
  std::string out;
  for (const auto& violation : rejection.violations) {
    out += (out.empty() ? "" : " ") + violation.field;
  }
  return out;
}

// Of an app that may be.
v1::AppSpec some_app() {
  v1::AppSpec spec;
  spec.set_directory("/srv/web");
  spec.set_app("wsgi:app");
  spec.add_bind("127.0.0.1:8000");
  return spec;
}

// Of what can be read.
model::AppSpec read(const v1::AppSpec& spec) {
  std::vector<model::Violation> unreadable;
  model::AppSpec out = to_model(spec, unreadable);
  EXPECT_TRUE(unreadable.empty()) << unreadable.front().field;
  return out;
}

std::string fields_of(const std::vector<model::Violation>& violations) {
  std::string fields;
  for (const auto& each : violations) fields += (fields.empty() ? "" : " ") + each.field;
  return fields;
}

std::string unreadable_of(const v1::AppSpec& spec) {
  std::vector<model::Violation> unreadable;
  to_model(spec, unreadable);
  return fields_of(unreadable);
}

model::AppSpec edited(const v1::AppSpec& spec, std::vector<std::string> paths,
                      model::AppSpec present) {
  google::protobuf::FieldMask mask;
  for (std::string& path : paths) mask.add_paths(std::move(path));
  const auto edit = to_edit(spec, &mask);
  APPD_CHECK(static_cast<bool>(edit));
  EXPECT_EQ(fields_of(edit.value()(present)), "");
  return present;
}

TEST(SpecConvert, EveryFieldSurvivesBothWays) {
  const v1::AppSpec given = full_spec();
  v1::AppSpec back;
  to_proto(read(given), back);
  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(given, back)) << difference;
}

TEST(SpecConvert, ValuesOfVariablesAreNeverShown) {
  model::AppSpec spec;
  spec.env = {{"TOKEN", "s3cret"}, {"EMPTY", ""}};
  v1::AppSpec shown;
  to_proto(spec, shown);
  ASSERT_EQ(shown.env().size(), 2U);
  for (const auto& variable : shown.env()) EXPECT_EQ(variable.second, "<redacted>");
}

TEST(SpecConvert, AnEmptySpecIsTheDefaultsAndTheyAreShown) {
  EXPECT_EQ(read({}), model::AppSpec{});
  v1::AppSpec shown;
  to_proto(model::AppSpec{}, shown);
  EXPECT_EQ(shown.workers(), 1);
  EXPECT_TRUE(shown.has_workers());
  EXPECT_EQ(shown.worker_class(), "auto");
  EXPECT_EQ(shown.python(), "/usr/bin/python3");
  EXPECT_EQ(shown.preload(), v1::AppSpec::AUTO);
  EXPECT_EQ(shown.run_mode(), v1::AppSpec::RUNNING);
  EXPECT_EQ(shown.keepalive().seconds(), 75);
  EXPECT_EQ(shown.limit_request_body(), 1 << 30);
}

TEST(SpecConvert, AClassIsStoredUnderOurNameForIt) {
  v1::AppSpec spec;
  spec.set_worker_class("egg:gunicorn#gevent");
  EXPECT_EQ(read(spec).worker_class, "gevent");
  spec.set_worker_class("quantum");
  EXPECT_EQ(read(spec).worker_class, "quantum") << "for validate() to refuse";
}

TEST(SpecConvert, AClassThatNamesItsLoopSetsItUnlessAnotherIsGiven) {
  v1::AppSpec spec = some_app();
  spec.set_worker_class("uvloop");
  EXPECT_EQ(read(spec).worker_class, "asgi");
  EXPECT_EQ(read(spec).loop, "uvloop");
  for (const char* given : {"uvloop", "auto"}) {
    spec.set_loop(given);
    EXPECT_EQ(read(spec).loop, given);
  }
  spec.set_loop("asyncio");
  EXPECT_EQ(unreadable_of(spec), "spec.loop");
  spec.set_worker_class("asgi");
  EXPECT_EQ(read(spec).loop, "asyncio");
}

TEST(SpecConvert, AnEmptyListOfTrustedAddressesIsNotTheDefault) {
  v1::AppSpec spec;
  spec.set_forwarded_allow_ips("");
  EXPECT_EQ(read(spec).forwarded_allow_ips, "");
  EXPECT_EQ(read(spec).proxy_allow_ips, "127.0.0.1,::1");
}

TEST(SpecConvert, RefusesDurationsThatAreNoneAndNamesThemAll) {
  v1::AppSpec spec = some_app();
  spec.mutable_timeout()->set_seconds(-1);
  spec.mutable_graceful_timeout()->set_nanos(-1);
  spec.mutable_keepalive()->set_seconds(315'576'000'001);
  spec.mutable_boot_timeout()->set_seconds(std::numeric_limits<std::int64_t>::max());
  spec.mutable_send_timeout()->set_nanos(1'000'000'000);
  spec.mutable_client_body_timeout()->set_seconds(1);
  spec.mutable_client_body_timeout()->set_nanos(-1);
  spec.mutable_client_header_timeout()->set_seconds(std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(unreadable_of(spec),
            "spec.timeout spec.graceful_timeout spec.keepalive spec.boot_timeout "
            "spec.client_header_timeout spec.client_body_timeout spec.send_timeout");
}

TEST(SpecConvert, LessThanAMillisecondIsRoundedUpAndNeverBecomesNone) {
  v1::AppSpec spec;
  spec.mutable_timeout()->set_nanos(1);
  spec.mutable_keepalive()->set_nanos(0);
  spec.mutable_send_timeout()->set_nanos(999'999'999);
  const model::AppSpec model = read(spec);
  EXPECT_EQ(model.timeout.count(), 1);
  EXPECT_EQ(model.keepalive.count(), 0);
  EXPECT_EQ(model.send_timeout.count(), 1000);
}

TEST(SpecConvert, RefusesEnumeratorsThatDoNotExist) {
  v1::AppSpec spec = some_app();
  spec.set_preload(static_cast<v1::AppSpec::Preload>(17));
  spec.set_run_mode(static_cast<v1::AppSpec::RunMode>(-1));
  EXPECT_EQ(unreadable_of(spec), "spec.preload spec.run_mode");
}

TEST(UpdateMask, OmittedMeansTheFieldsThatAreSet) {
  v1::AppSpec spec;
  spec.set_threads(8);
  spec.mutable_keepalive();  // set, to 0
  (*spec.mutable_env())["B"] = "2";
  model::AppSpec present;
  present.workers = 17;
  present.env = {{"A", "1"}};
  const auto edit = to_edit(spec, nullptr);
  ASSERT_TRUE(edit);
  edit.value()(present);
  EXPECT_EQ(present.threads, 8);
  EXPECT_EQ(present.workers, 17);
  EXPECT_EQ(present.keepalive.count(), 0);
  EXPECT_EQ(present.env, (std::map<std::string, std::string>{{"B", "2"}}));
  const google::protobuf::FieldMask empty;
  model::AppSpec same;
  const auto edit_by_empty_mask = to_edit(spec, &empty);
  ASSERT_TRUE(edit_by_empty_mask);
  edit_by_empty_mask.value()(same);
  EXPECT_EQ(same.threads, 8);
}

TEST(UpdateMask, StarReplacesEverythingAndUnsetFieldsReturnToDefaults) {
  const model::AppSpec present = read(full_spec());
  v1::AppSpec spec;
  spec.set_threads(8);
  model::AppSpec expected;
  expected.threads = 8;
  EXPECT_EQ(edited(spec, {"*"}, present), expected);
  EXPECT_EQ(edited(spec, {"spec"}, present), expected);
  EXPECT_EQ(edited(full_spec(), {"*"}, {}), present);
}

TEST(UpdateMask, EachFieldIsTakenAloneAndUnsetOnesReturnToTheirDefaults) {
  const v1::AppSpec full = full_spec();
  const model::AppSpec full_model = read(full);
  const auto* descriptor = full.GetDescriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const std::string path = "spec." + descriptor->field(i)->name();
    const model::AppSpec one = edited(full, {path}, {});
    EXPECT_NE(one, model::AppSpec{}) << path;
    v1::AppSpec shown;
    v1::AppSpec shown_default;
    to_proto(one, shown);
    to_proto(model::AppSpec{}, shown_default);
    MessageDifferencer differencer;
    differencer.IgnoreField(descriptor->field(i));
    EXPECT_TRUE(differencer.Compare(shown, shown_default)) << path;
    // And back again.
    EXPECT_EQ(edited(v1::AppSpec(), {path}, one), model::AppSpec{}) << path;
  }
}

TEST(UpdateMask, AClassThatNamesItsLoopChangesItToo) {
  v1::AppSpec spec;
  spec.set_worker_class("uvicorn.workers.UvicornH11Worker");
  model::AppSpec present;
  present.loop = "uvloop";
  EXPECT_EQ(edited(spec, {"spec.worker_class"}, present).loop, "asyncio");
  EXPECT_EQ(edited(spec, {"spec.loop", "spec.worker_class"}, present).loop, "asyncio");
  EXPECT_EQ(edited(spec, {"*"}, present).loop, "asyncio");
  EXPECT_EQ(edited(spec, {"spec.threads"}, present).loop, "uvloop");
  spec.set_worker_class("uvicorn.workers.UvicornWorker");
  EXPECT_EQ(edited(spec, {"spec.worker_class"}, present).loop, "uvloop") << "it asks for none";
  // Another loop is a contradiction only where it is taken.
  spec.set_worker_class("asyncio");
  spec.set_loop("uvloop");
  EXPECT_EQ(edited(spec, {"spec.worker_class"}, present).loop, "asyncio");
  EXPECT_EQ(edited(spec, {"spec.loop"}, present).loop, "uvloop");
  EXPECT_EQ(fields_of(to_edit(spec, nullptr).value()(present)), "spec.loop");
}

TEST(UpdateMask, VariablesByNameAreSetAndRemoved) {
  v1::AppSpec spec;
  (*spec.mutable_env())["A"] = "new";
  (*spec.mutable_env())["C"] = "not in the mask";
  model::AppSpec present;
  present.env = {{"A", "old"}, {"B", "goes"}, {"D", "stays"}};
  const model::AppSpec after = edited(spec, {"spec.env.A", "spec.env.B"}, present);
  EXPECT_EQ(after.env, (std::map<std::string, std::string>{{"A", "new"}, {"D", "stays"}}));
}

TEST(UpdateMask, WhatWasShownAndIsSentBackKeepsItsValue) {
  model::AppSpec present;
  present.env = {{"A", "one"}, {"B", "two"}};
  v1::AppSpec spec;
  to_proto(present, spec);
  EXPECT_EQ(edited(spec, {"*"}, present).env, present.env);
  EXPECT_EQ(edited(spec, {"spec.env"}, present).env, present.env);
  EXPECT_EQ(edited(spec, {"spec.env.A"}, present).env, present.env);
  (*spec.mutable_env())["A"] = "three";
  (*spec.mutable_env())["NEW"] = "<redacted>";
  const auto after = edited(spec, {"*"}, present).env;
  EXPECT_EQ(after.at("A"), "three");
  EXPECT_EQ(after.at("B"), "two");
  EXPECT_EQ(after.at("NEW"), "<redacted>") << "for validate() to refuse";
}

TEST(UpdateMask, RefusesPathsThatUsersCannotSet) {
  for (const char* path :
       {"", "threads", "spec.", "spec.thread", "spec.env.", "spec.threads.x", "observed",
        "generation", "name", "uid", "spec.timeout.seconds", "Spec.threads", "spec.*"}) {
    google::protobuf::FieldMask mask;
    mask.add_paths("spec.workers");
    mask.add_paths(path);
    const auto edit = to_edit({}, &mask);
    ASSERT_FALSE(edit) << path;
    EXPECT_EQ(edit.rejection().error.reason, "REQUEST_INVALID");
    EXPECT_EQ(fields_of(edit.rejection()), "update_mask");
  }
}

TEST(UpdateMask, WhatIsNotInTheMaskIsNotChecked) {
  v1::AppSpec spec;
  spec.set_threads(2);
  spec.mutable_timeout()->set_seconds(-1);
  EXPECT_EQ(edited(spec, {"spec.threads"}, {}).threads, 2);
  google::protobuf::FieldMask mask;
  mask.add_paths("spec.timeout");
  model::AppSpec present;
  EXPECT_EQ(fields_of(to_edit(spec, &mask).value()(present)), "spec.timeout");
}

}  // namespace
}  // namespace appd::api
