// The calls: their repetition when they were cut off, deadlines, pages, streams.
#include "ctl/client.h"

#include <google/protobuf/util/time_util.h>
#include <grpcpp/grpcpp.h>
#include <sys/random.h>

#include <array>
#include <cstdio>
#include <thread>

#include "appd/v1/apps.grpc.pb.h"
#include "appd/v1/events.grpc.pb.h"
#include "appd/v1/logs.grpc.pb.h"
#include "appd/v1/operations.grpc.pb.h"
#include "appd/v1/stats.grpc.pb.h"
#include "appd/v1/system.grpc.pb.h"
#include "appd/v1/tokens.grpc.pb.h"
#include "appd/v1/workers.grpc.pb.h"
#include "common/result.h"
#include "ctl/client_channel.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{50};
constexpr milliseconds kLongestDelay{1'000};
constexpr std::int32_t kPageSize = 1000;

// gRPC's word for a call that never left: no connection could be made. It is UNAVAILABLE like a
// call that was cut off, and nothing else tells the two apart.
bool never_connected(const grpc::Status& status) {
  return status.error_message().rfind("failed to connect to all addresses", 0) == 0;
}

// Clears what a page of a list has beside the list.
void keep_list(google::protobuf::Message& page) {
  const auto* type = page.GetDescriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    if (!type->field(i)->is_repeated()) page.GetReflection()->ClearField(&page, type->field(i));
  }
}

bool has_request_id(const google::protobuf::Message& request) {
  const auto* field = request.GetDescriptor()->FindFieldByName("request_id");
  return field == nullptr || !request.GetReflection()->GetString(request, field).empty();
}

}  // namespace

struct Client::Impl {
  explicit Impl(ClientOptions given)
      : options(std::move(given)),
        channel(open_channel(options)),
        apps(v1::Apps::NewStub(channel)),
        workers(v1::Workers::NewStub(channel)),
        operations(v1::Operations::NewStub(channel)),
        events(v1::Events::NewStub(channel)),
        logs(v1::Logs::NewStub(channel)),
        stats(v1::Stats::NewStub(channel)),
        system(v1::System::NewStub(channel)),
        tokens(v1::Tokens::NewStub(channel)) {}

  // What every call brings along.
  void identify(grpc::ClientContext& context) const {
    const std::string& token = options.credentials.token;
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
  }

  CallError decode(const grpc::Status& status) const {
    CallError error =
        decode_call_error(status.error_code(), status.error_message(), status.error_details());
    // An answer of appd's own carries a reason; what carries none was made up by gRPC on the way.
    const bool from_appd = !error.reason.empty();
    if (!from_appd && error.code == Code::Unavailable) {
      error.unreachable = why_unreachable(options, status.error_message());
    }
    if (!from_appd && error.code == Code::DeadlineExceeded) {
      error.unreachable = "no answer within the time for a call";
    }
    if (!from_appd && error.code == Code::Unimplemented && error.message.empty()) {
      error.message = "this appd does not know the call; appctl version tells whether it is older";
    }
    return error;
  }

  // One call, repeated while it is cut off and there is time left for that.
  template <typename Stub, typename Request, typename Response>
  Outcome<Response> call(Stub& stub,
                         grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                      Response*),
                         const Request& request, milliseconds timeout, bool in_silence = false) {
    std::optional<Clock::time_point> give_up;
    milliseconds delay = kFirstDelay;
    for (bool first = true;; first = false) {
      grpc::ClientContext context;
      identify(context);
      context.set_deadline(std::chrono::system_clock::now() + timeout);
      Response response;
      const grpc::Status status = (stub.*method)(&context, request, &response);
      if (status.ok()) return response;
      const bool cut_off = status.error_code() == grpc::StatusCode::UNAVAILABLE &&
                           !(first && never_connected(status)) && has_request_id(request);
      CallError error = decode(status);
      delay = std::max(delay, error.retry_delay.value_or(delay));
      if (!give_up) give_up = Clock::now() + options.retry_for;
      if (!cut_off || Clock::now() + delay >= *give_up) return error;
      if (first && options.notice && !in_silence)
        options.notice("appd went away during the call; trying again");
      std::this_thread::sleep_for(delay);
      // A channel connects only while somebody waits on it; else gRPC looks every five seconds.
      channel->WaitForConnected(std::chrono::system_clock::now() + (*give_up - Clock::now()));
      delay = std::min(2 * delay, kLongestDelay);
    }
  }

  template <typename Stub, typename Request, typename Response>
  Outcome<Response> call(Stub& stub,
                         grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                      Response*),
                         const Request& request) {
    return call(stub, method, request, options.call_timeout);
  }

  // Follows next_page_token. All but the list is the first page's.
  template <typename Stub, typename Request, typename Response>
  Outcome<Response> pages(Stub& stub,
                          grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          Request request) {
    request.set_page_size(kPageSize);
    Response whole = TRY(call(stub, method, request));
    std::string token = whole.next_page_token();
    while (!token.empty()) {
      request.set_page_token(token);
      Response page = TRY(call(stub, method, request));
      token = page.next_page_token();
      keep_list(page);
      whole.MergeFrom(page);
    }
    whole.clear_next_page_token();
    return whole;
  }

  ClientOptions options;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Apps::Stub> apps;
  std::unique_ptr<v1::Workers::Stub> workers;
  std::unique_ptr<v1::Operations::Stub> operations;
  std::unique_ptr<v1::Events::Stub> events;
  std::unique_ptr<v1::Logs::Stub> logs;
  std::unique_ptr<v1::Stats::Stub> stats;
  std::unique_ptr<v1::System::Stub> system;
  std::unique_ptr<v1::Tokens::Stub> tokens;
};

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;

Outcome<v1::App> Client::create_app(const v1::CreateAppRequest& request) {
  return impl_->call(*impl_->apps, &v1::Apps::Stub::CreateApp, request);
}
Outcome<v1::App> Client::get_app(const v1::GetAppRequest& request) {
  return impl_->call(*impl_->apps, &v1::Apps::Stub::GetApp, request);
}
Outcome<v1::App> Client::update_app(const v1::UpdateAppRequest& request) {
  return impl_->call(*impl_->apps, &v1::Apps::Stub::UpdateApp, request);
}
Outcome<v1::Operation> Client::delete_app(const v1::DeleteAppRequest& request) {
  return impl_->call(*impl_->apps, &v1::Apps::Stub::DeleteApp, request);
}
Outcome<v1::Operation> Client::scale_app(const v1::ScaleAppRequest& request) {
  return impl_->call(*impl_->apps, &v1::Apps::Stub::ScaleApp, request);
}
Outcome<v1::Operation> Client::reload_app(const v1::ReloadAppRequest& request) {
  return impl_->call(*impl_->apps, &v1::Apps::Stub::ReloadApp, request);
}
Outcome<v1::Operation> Client::rollback_app(const v1::RollbackAppRequest& request) {
  return impl_->call(*impl_->apps, &v1::Apps::Stub::RollbackApp, request);
}
Outcome<v1::Operation> Client::get_operation(const v1::GetOperationRequest& request) {
  return impl_->call(*impl_->operations, &v1::Operations::Stub::GetOperation, request);
}
Outcome<v1::Operation> Client::cancel_operation(const v1::CancelOperationRequest& request) {
  return impl_->call(*impl_->operations, &v1::Operations::Stub::CancelOperation, request);
}
Outcome<v1::DumpStacksResponse> Client::dump_stacks(const v1::DumpStacksRequest& request) {
  return impl_->call(*impl_->workers, &v1::Workers::Stub::DumpStacks, request);
}
Outcome<v1::Worker> Client::recycle_worker(const v1::RecycleWorkerRequest& request) {
  return impl_->call(*impl_->workers, &v1::Workers::Stub::RecycleWorker, request);
}
Outcome<v1::RequestInHand> Client::cancel_request(const v1::CancelRequestRequest& request) {
  return impl_->call(*impl_->workers, &v1::Workers::Stub::CancelRequest, request);
}
Outcome<v1::Death> Client::get_death(const v1::GetDeathRequest& request) {
  return impl_->call(*impl_->workers, &v1::Workers::Stub::GetDeath, request);
}
Outcome<v1::ServerInfo> Client::get_server_info() {
  return impl_->call(*impl_->system, &v1::System::Stub::GetServerInfo, v1::GetServerInfoRequest());
}

Outcome<v1::BackupStateResponse> Client::backup_state(const v1::BackupStateRequest& request) {
  return impl_->call(*impl_->system, &v1::System::Stub::BackupState, request);
}
Outcome<v1::RestoreStateResponse> Client::restore_state(const v1::RestoreStateRequest& request) {
  return impl_->call(*impl_->system, &v1::System::Stub::RestoreState, request);
}

Outcome<v1::ReopenLogsResponse> Client::reopen_logs(const v1::ReopenLogsRequest& request) {
  return impl_->call(*impl_->logs, &v1::Logs::Stub::ReopenLogs, request);
}

Outcome<v1::UpgradeResponse> Client::upgrade(const v1::UpgradeRequest& request) {
  return impl_->call(*impl_->system, &v1::System::Stub::Upgrade, request,
                     impl_->options.call_timeout, /*in_silence=*/true);
}

Outcome<v1::ShutdownResponse> Client::shutdown(const v1::ShutdownRequest& request) {
  return impl_->call(*impl_->system, &v1::System::Stub::Shutdown, request);
}

Outcome<v1::CreateTokenResponse> Client::create_token(const v1::CreateTokenRequest& request) {
  return impl_->call(*impl_->tokens, &v1::Tokens::Stub::CreateToken, request);
}

Outcome<v1::DeleteTokenResponse> Client::delete_token(const v1::DeleteTokenRequest& request) {
  return impl_->call(*impl_->tokens, &v1::Tokens::Stub::DeleteToken, request);
}

Outcome<v1::ListTokensResponse> Client::list_tokens() {
  return impl_->pages(*impl_->tokens, &v1::Tokens::Stub::ListTokens, v1::ListTokensRequest());
}

Outcome<v1::Operation> Client::wait_operation(const std::string& name, milliseconds timeout) {
  v1::WaitOperationRequest request;
  request.set_name(name);
  *request.mutable_timeout() =
      google::protobuf::util::TimeUtil::MillisecondsToDuration(timeout.count());
  return impl_->call(*impl_->operations, &v1::Operations::Stub::WaitOperation, request,
                     timeout + impl_->options.call_timeout);
}

Outcome<v1::ListAppsResponse> Client::list_apps() {
  return impl_->pages(*impl_->apps, &v1::Apps::Stub::ListApps, v1::ListAppsRequest());
}

Outcome<v1::ListWorkersResponse> Client::list_workers(const std::string& parent) {
  v1::ListWorkersRequest request;
  request.set_parent(parent);
  return impl_->pages(*impl_->workers, &v1::Workers::Stub::ListWorkers, request);
}

Outcome<v1::ListRequestsResponse> Client::list_requests(const std::string& parent) {
  v1::ListRequestsRequest request;
  request.set_parent(parent);
  return impl_->pages(*impl_->workers, &v1::Workers::Stub::ListRequests, request);
}

Outcome<v1::ListDeathsResponse> Client::list_deaths(const v1::ListDeathsRequest& request) {
  return impl_->pages(*impl_->workers, &v1::Workers::Stub::ListDeaths, request);
}

Outcome<v1::ListOperationsResponse> Client::list_operations(const std::string& app) {
  v1::ListOperationsRequest request;
  request.set_app(app);
  return impl_->pages(*impl_->operations, &v1::Operations::Stub::ListOperations, request);
}

Outcome<v1::ListRevisionsResponse> Client::list_revisions(const std::string& parent) {
  v1::ListRevisionsRequest request;
  request.set_parent(parent);
  return impl_->pages(*impl_->apps, &v1::Apps::Stub::ListRevisions, request);
}

template <typename Message>
struct Stream<Message>::Impl {
  // `begin` opens the stream with the context.
  template <typename Begin>
  Impl(Client::Impl& owner, bool may_end, Begin begin) : client(owner), has_end(may_end) {
    owner.identify(context);
    reader = begin(&context);
  }
  Client::Impl& client;
  bool has_end;  // of its own: else an end in good order is appd on its way out
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<Message>> reader;
  bool finished = false;
  bool reached = true;
};

template <typename Message>
Stream<Message>::Stream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
template <typename Message>
Stream<Message>::Stream(Stream&&) noexcept = default;

template <typename Message>
Stream<Message>::~Stream() {
  if (impl_ == nullptr || impl_->finished) return;
  impl_->context.TryCancel();
  impl_->reader->Finish();
}

template <typename Message>
bool Stream<Message>::next(Message& message) {
  return impl_->reader->Read(&message);
}

template <typename Message>
void Stream<Message>::cancel() {
  impl_->context.TryCancel();
}

template <typename Message>
std::optional<CallError> Stream<Message>::error() {
  impl_->finished = true;
  const grpc::Status status = impl_->reader->Finish();
  impl_->reached = !never_connected(status);
  if (!status.ok()) return impl_->client.decode(status);
  if (impl_->has_end) return std::nullopt;
  CallError ended;
  ended.code = Code::Unavailable;
  ended.message = "appd ended the stream";
  return ended;
}

template <typename Message>
bool Stream<Message>::reached() const {
  return impl_->reached;
}

template class Stream<v1::WatchResponse>;
template class Stream<v1::WatchStatsResponse>;
template class Stream<v1::LogEntry>;

WatchStream Client::watch(const v1::WatchRequest& request) {
  return WatchStream(std::make_unique<WatchStream::Impl>(
      *impl_, false, [&](auto* context) { return impl_->events->Watch(context, request); }));
}

StatsStream Client::watch_stats(const v1::WatchStatsRequest& request) {
  return StatsStream(std::make_unique<StatsStream::Impl>(
      *impl_, false, [&](auto* context) { return impl_->stats->WatchStats(context, request); }));
}

LogEntryStream Client::read_logs(const v1::ReadLogsRequest& request) {
  return LogEntryStream(std::make_unique<LogEntryStream::Impl>(
      *impl_, true, [&](auto* context) { return impl_->logs->ReadLogs(context, request); }));
}

std::string new_request_id() {
  std::array<unsigned char, 16> bytes{};
  // 16 bytes never come short (getrandom(2)); it can only fail before the system has booted.
  APPD_CHECK(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  std::string id;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id += '-';
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", static_cast<unsigned>(bytes[i]));
    id += hex.data();
  }
  return id;
}

}  // namespace appd::ctl
