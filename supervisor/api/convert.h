// What the core shows, as the API's messages. Pure.
#pragma once

#include "appd/v1/apps.pb.h"
#include "appd/v1/events.pb.h"
#include "appd/v1/operations.pb.h"
#include "appd/v1/system.pb.h"
#include "appd/v1/workers.pb.h"
#include "supervisor/model/observed.h"
#include "supervisor/model/request.h"

namespace appd::api {

namespace v1 = ::appd::v1;

v1::AppObserved::State to_proto(model::AppState state);
v1::ProcessState to_proto(model::ProcessState state);
v1::Worker::State to_proto(model::WorkerState state);
v1::Failure::Cause to_proto(model::FailureCause cause);
v1::Operation::Phase to_proto(model::OperationPhase phase);
void to_proto(model::WallTime time, google::protobuf::Timestamp& out);
void to_proto(model::Milliseconds duration, google::protobuf::Duration& out);
void to_proto(const model::Failure& failure, v1::Failure& out);
void to_proto(const model::AppView& app, v1::App& out);
void to_proto(const model::WorkerView& worker, v1::Worker& out);
void to_proto(const model::RequestView& request, v1::RequestInHand& out);
// death_convert.cc.
v1::Death::Request::Stage to_proto(model::RequestStage stage);
// `full`: with what is long.
void to_proto(const model::Death& death, bool full, v1::Death& out);
void to_proto(const std::string& app, const model::Cut& cut, v1::Cut& out);
void to_proto(const model::Operation& operation, v1::Operation& out);
void to_proto(const model::Event& event, v1::WatchResponse& out);
void to_proto(const model::ServerInfo& info, v1::ServerInfo& out);

}  // namespace appd::api
