// gRPC: the channel, the repetition of calls that were cut off, deadlines, and why appd cannot be
// reached. The only file of appctl that includes gRPC.
#include "ctl/client.h"

#include <google/protobuf/util/time_util.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/credentials.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
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
#include "common/unique_fd.h"

namespace appd::ctl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{50};
constexpr milliseconds kLongestDelay{1'000};
constexpr std::int32_t kPageSize = 1000;

// gRPC writes to standard error what appctl says better itself; of a connection that did not come
// about, only there it says why.
std::mutex handshake_mutex;
std::string failed_handshake;  // guarded by it

void take_grpc_log() {
  ::gpr_set_log_function([](gpr_log_func_args* line) {
    const std::string_view text = line->message;
    constexpr std::string_view kFailed = "Handshake failed with fatal error ";
    if (!text.starts_with(kFailed)) return;
    const std::lock_guard lock(handshake_mutex);
    failed_handshake = text.substr(kFailed.size());
  });
}

std::string last_handshake_error() {
  const std::lock_guard lock(handshake_mutex);
  return failed_handshake;
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const ClientOptions& options) {
  if (is_unix_address(options.address)) return grpc::InsecureChannelCredentials();
  const Credentials& own = options.credentials;
  return grpc::SslCredentials({own.ca, own.key, own.cert});
}

std::shared_ptr<grpc::Channel> open_channel(const ClientOptions& options) {
  take_grpc_log();
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix("appctl/" APPD_VERSION);
  // Calls are repeated here, where the request_id is known; and a local socket needs neither a
  // proxy nor a service config.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // After a lost connection: try again soon, appd may be back within a fraction of a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetMaxReceiveMessageSize(64 << 20);
  const bool is_unix = is_unix_address(options.address);
  return grpc::CreateCustomChannel(is_unix ? options.address : "dns:///" + options.address,
                                   channel_credentials(options), arguments);
}

// Connects once by hand to learn the errno that gRPC hides in a sentence; 0: somebody listens.
int probe(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof(name.sun_path)) return ENAMETOOLONG;
  std::memcpy(name.sun_path, path.c_str(), path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno;
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0) return 0;
  return errno == EAGAIN ? 0 : errno;  // a full backlog is a listener too
}

// What a TLS connection did not come about for; `said` is how gRPC puts it.
std::string explain_tcp(const ClientOptions& options, std::string said) {
  constexpr std::string_view kLast = "last error: ";
  if (const auto at = said.find(kLast); at != std::string::npos) said.erase(0, at + kLast.size());
  const std::string handshake = last_handshake_error();
  const std::string why = handshake.empty() ? said : handshake;
  if (why.find("Connection refused") != std::string::npos) {
    return "connection refused; no appd listens there";
  }
  if (why.find("certificate verify failed") != std::string::npos) {
    return "its certificate is none that is trusted here: " +
           std::string(options.credentials.ca.empty()
                           ? "say who has signed it by --ca FILE"
                           : "it must be signed by --ca, be valid now, and be for the name in the "
                             "address");
  }
  if (why.find("Hostname Verification Check failed") != std::string::npos) {
    return "its certificate is for another name than the address has";
  }
  if (why.find("WRONG_VERSION_NUMBER") != std::string::npos ||
      why.find("wrong version number") != std::string::npos) {
    return "what listens there speaks no TLS, so it is no appd";
  }
  if (why.find("Socket closed") != std::string::npos || why.find("alert") != std::string::npos ||
      why.find("Connection reset") != std::string::npos) {
    return std::string("it ended the connection: ") +
           (options.credentials.cert.empty()
                ? "it may want a certificate of yours (--cert FILE --key FILE)"
                : "it may not trust who has signed --cert");
  }
  return why;
}

std::string explain(const ClientOptions& options, const std::string& said) {
  if (!is_unix_address(options.address)) return explain_tcp(options, said);
  const std::string& address = options.address;
  const std::string path = address.substr(address.find(':') + 1);
  switch (const int why = probe(path)) {
    case 0:
      return "it listens but does not answer";
    case ENOENT:
      return "no such socket; appd is not running, or listens elsewhere";
    case ECONNREFUSED:
      return "connection refused; the socket is there but no appd listens on it";
    case EACCES:
    case EPERM:
      return "permission denied; only the user that appd runs as (and root) may connect";
    case ENAMETOOLONG:
      return "the path is too long for a unix socket (at most 107 bytes)";
    default:
      return std::strerror(why);
  }
}

// gRPC's word for a call that never left: no connection could be made. It is UNAVAILABLE like a
// call that was cut off, and nothing else tells the two apart.
bool never_connected(const grpc::Status& status) {
  return status.error_message().rfind("failed to connect to all addresses", 0) == 0;
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
      error.unreachable = explain(options, status.error_message());
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

  // Follows next_page_token; `take` moves one page's items into the whole answer.
  template <typename Stub, typename Request, typename Response, typename Take>
  Outcome<Response> pages(Stub& stub,
                          grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          Request request, Take take) {
    request.set_page_size(kPageSize);
    Response whole = TRY(call(stub, method, request));
    std::string token = whole.next_page_token();
    while (!token.empty()) {
      request.set_page_token(token);
      Response page = TRY(call(stub, method, request));
      take(whole, page);
      token = page.next_page_token();
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
  return impl_->pages(*impl_->tokens, &v1::Tokens::Stub::ListTokens, v1::ListTokensRequest(),
                      [](v1::ListTokensResponse& whole, const v1::ListTokensResponse& page) {
                        whole.mutable_tokens()->MergeFrom(page.tokens());
                      });
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
  return impl_->pages(*impl_->apps, &v1::Apps::Stub::ListApps, v1::ListAppsRequest(),
                      [](v1::ListAppsResponse& whole, const v1::ListAppsResponse& page) {
                        whole.mutable_apps()->MergeFrom(page.apps());
                      });
}

Outcome<v1::ListWorkersResponse> Client::list_workers(const std::string& parent) {
  v1::ListWorkersRequest request;
  request.set_parent(parent);
  return impl_->pages(*impl_->workers, &v1::Workers::Stub::ListWorkers, request,
                      [](v1::ListWorkersResponse& whole, const v1::ListWorkersResponse& page) {
                        whole.mutable_workers()->MergeFrom(page.workers());
                      });
}

Outcome<v1::ListRequestsResponse> Client::list_requests(const std::string& parent) {
  v1::ListRequestsRequest request;
  request.set_parent(parent);
  return impl_->pages(*impl_->workers, &v1::Workers::Stub::ListRequests, request,
                      [](v1::ListRequestsResponse& whole, const v1::ListRequestsResponse& page) {
                        whole.mutable_requests()->MergeFrom(page.requests());
                      });
}

Outcome<v1::ListDeathsResponse> Client::list_deaths(const v1::ListDeathsRequest& request) {
  return impl_->pages(*impl_->workers, &v1::Workers::Stub::ListDeaths, request,
                      [](v1::ListDeathsResponse& whole, const v1::ListDeathsResponse& page) {
                        whole.mutable_deaths()->MergeFrom(page.deaths());
                      });
}

Outcome<v1::ListOperationsResponse> Client::list_operations(const std::string& app) {
  v1::ListOperationsRequest request;
  request.set_app(app);
  return impl_->pages(
      *impl_->operations, &v1::Operations::Stub::ListOperations, request,
      [](v1::ListOperationsResponse& whole, const v1::ListOperationsResponse& page) {
        whole.mutable_operations()->MergeFrom(page.operations());
      });
}

Outcome<v1::ListRevisionsResponse> Client::list_revisions(const std::string& parent) {
  v1::ListRevisionsRequest request;
  request.set_parent(parent);
  return impl_->pages(*impl_->apps, &v1::Apps::Stub::ListRevisions, request,
                      [](v1::ListRevisionsResponse& whole, const v1::ListRevisionsResponse& page) {
                        whole.mutable_revisions()->MergeFrom(page.revisions());
                      });
}

struct WatchStream::Impl {
  Impl(Client::Impl& owner, const v1::WatchRequest& request) : client(owner) {
    owner.identify(context);
    reader = owner.events->Watch(&context, request);
  }
  Client::Impl& client;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> reader;
  bool finished = false;
};

WatchStream::WatchStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WatchStream::WatchStream(WatchStream&&) noexcept = default;

WatchStream::~WatchStream() {
  if (impl_ == nullptr || impl_->finished) return;
  impl_->context.TryCancel();
  impl_->reader->Finish();
}

bool WatchStream::next(v1::WatchResponse& event) { return impl_->reader->Read(&event); }
void WatchStream::cancel() { impl_->context.TryCancel(); }

CallError WatchStream::error() {
  impl_->finished = true;
  const grpc::Status status = impl_->reader->Finish();
  if (!status.ok()) return impl_->client.decode(status);
  CallError ended;  // a watch has no end of its own, so this is appd on its way out
  ended.code = Code::Unavailable;
  ended.message = "appd ended the stream";
  return ended;
}

WatchStream Client::watch(const v1::WatchRequest& request) {
  return WatchStream(std::make_unique<WatchStream::Impl>(*impl_, request));
}

struct StatsStream::Impl {
  Impl(Client::Impl& owner, const v1::WatchStatsRequest& request) : client(owner) {
    owner.identify(context);
    reader = owner.stats->WatchStats(&context, request);
  }
  Client::Impl& client;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::WatchStatsResponse>> reader;
  bool finished = false;
};

StatsStream::StatsStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StatsStream::StatsStream(StatsStream&&) noexcept = default;

StatsStream::~StatsStream() {
  if (impl_ == nullptr || impl_->finished) return;
  impl_->context.TryCancel();
  impl_->reader->Finish();
}

bool StatsStream::next(v1::WatchStatsResponse& stats) { return impl_->reader->Read(&stats); }
void StatsStream::cancel() { impl_->context.TryCancel(); }

CallError StatsStream::error() {
  impl_->finished = true;
  const grpc::Status status = impl_->reader->Finish();
  if (!status.ok()) return impl_->client.decode(status);
  CallError ended;  // figures have no end of their own, so this is appd on its way out
  ended.code = Code::Unavailable;
  ended.message = "appd ended the stream";
  return ended;
}

StatsStream Client::watch_stats(const v1::WatchStatsRequest& request) {
  return StatsStream(std::make_unique<StatsStream::Impl>(*impl_, request));
}

struct LogEntryStream::Impl {
  Impl(Client::Impl& owner, const v1::ReadLogsRequest& request) : client(owner) {
    owner.identify(context);
    reader = owner.logs->ReadLogs(&context, request);
  }
  Client::Impl& client;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::LogEntry>> reader;
  bool finished = false;
  bool reached = true;
};

LogEntryStream::LogEntryStream(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogEntryStream::LogEntryStream(LogEntryStream&&) noexcept = default;

LogEntryStream::~LogEntryStream() {
  if (impl_ == nullptr || impl_->finished) return;
  impl_->context.TryCancel();
  impl_->reader->Finish();
}

bool LogEntryStream::next(v1::LogEntry& entry) { return impl_->reader->Read(&entry); }

std::optional<CallError> LogEntryStream::error() {
  impl_->finished = true;
  const grpc::Status status = impl_->reader->Finish();
  if (status.ok()) return std::nullopt;
  impl_->reached = !never_connected(status);
  return impl_->client.decode(status);
}

bool LogEntryStream::reached() const { return impl_->reached; }

LogEntryStream Client::read_logs(const v1::ReadLogsRequest& request) {
  return LogEntryStream(std::make_unique<LogEntryStream::Impl>(*impl_, request));
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
