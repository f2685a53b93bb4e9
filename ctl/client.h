// The connection to appd: one channel, plain calls that answer with a message or a decoded error.
// gRPC stays inside client*.cc.
//
// A call that was cut off (appd restarts, or says that it is stopping) is repeated for a bounded
// time. That is harmless: calls that change something carry a request_id, and the repeat carries
// the same.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "appd/v1/apps.pb.h"
#include "appd/v1/events.pb.h"
#include "appd/v1/logs.pb.h"
#include "appd/v1/operations.pb.h"
#include "appd/v1/stats.pb.h"
#include "appd/v1/system.pb.h"
#include "appd/v1/tokens.pb.h"
#include "appd/v1/workers.pb.h"
#include "ctl/call_error.h"
#include "ctl/credentials.h"

namespace appd::ctl {

struct ClientOptions {
  std::string address;  // "unix:PATH" or "HOST:PORT", which is TLS
  Credentials credentials;
  std::chrono::milliseconds call_timeout{30'000};
  // How long a call that was cut off is repeated.
  std::chrono::milliseconds retry_for{10'000};
  // Told once for each call that has to be repeated; may be empty.
  std::function<void(std::string_view)> notice;
};

// A stream of messages. One reader; cancel() may come from any thread. Must not outlive its Client.
template <typename Message>
class Stream {
 public:
  ~Stream();
  Stream(Stream&&) noexcept;
  // Waits for the next one. False: the stream has ended, see error().
  bool next(Message& message);
  void cancel();
  // Why it ended; nothing: those were all, which only logs can be. Call once, after next() was
  // false.
  std::optional<CallError> error();
  // After that: whether appd was there in the beginning.
  bool reached() const;

 private:
  friend class Client;
  struct Impl;
  explicit Stream(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

using WatchStream = Stream<v1::WatchResponse>;
using StatsStream = Stream<v1::WatchStatsResponse>;
using LogEntryStream = Stream<v1::LogEntry>;

// Threads may share it.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();

  Outcome<v1::App> create_app(const v1::CreateAppRequest& request);
  Outcome<v1::App> get_app(const v1::GetAppRequest& request);
  Outcome<v1::App> update_app(const v1::UpdateAppRequest& request);
  Outcome<v1::Operation> delete_app(const v1::DeleteAppRequest& request);
  Outcome<v1::Operation> scale_app(const v1::ScaleAppRequest& request);
  Outcome<v1::Operation> reload_app(const v1::ReloadAppRequest& request);
  Outcome<v1::Operation> rollback_app(const v1::RollbackAppRequest& request);
  Outcome<v1::DumpStacksResponse> dump_stacks(const v1::DumpStacksRequest& request);
  Outcome<v1::Worker> recycle_worker(const v1::RecycleWorkerRequest& request);
  Outcome<v1::RequestInHand> cancel_request(const v1::CancelRequestRequest& request);
  Outcome<v1::Death> get_death(const v1::GetDeathRequest& request);
  Outcome<v1::Operation> get_operation(const v1::GetOperationRequest& request);
  Outcome<v1::Operation> cancel_operation(const v1::CancelOperationRequest& request);
  Outcome<v1::ServerInfo> get_server_info();
  Outcome<v1::BackupStateResponse> backup_state(const v1::BackupStateRequest& request);
  Outcome<v1::RestoreStateResponse> restore_state(const v1::RestoreStateRequest& request);
  Outcome<v1::ReopenLogsResponse> reopen_logs(const v1::ReopenLogsRequest& request);
  // Is cut off by its own success, and answered by the new appd.
  Outcome<v1::UpgradeResponse> upgrade(const v1::UpgradeRequest& request);
  Outcome<v1::ShutdownResponse> shutdown(const v1::ShutdownRequest& request);
  Outcome<v1::CreateTokenResponse> create_token(const v1::CreateTokenRequest& request);
  Outcome<v1::ListTokensResponse> list_tokens();
  Outcome<v1::DeleteTokenResponse> delete_token(const v1::DeleteTokenRequest& request);
  // Answers when the operation is done or `timeout` is over. Outlasts a restart of appd.
  Outcome<v1::Operation> wait_operation(const std::string& name, std::chrono::milliseconds timeout);

  // All pages in one answer; revision is the first page's, so a watch from there misses nothing.
  Outcome<v1::ListAppsResponse> list_apps();
  Outcome<v1::ListWorkersResponse> list_workers(const std::string& parent);
  Outcome<v1::ListRequestsResponse> list_requests(const std::string& parent);
  Outcome<v1::ListDeathsResponse> list_deaths(const v1::ListDeathsRequest& request);
  Outcome<v1::ListOperationsResponse> list_operations(const std::string& app);
  Outcome<v1::ListRevisionsResponse> list_revisions(const std::string& parent);

  WatchStream watch(const v1::WatchRequest& request);
  StatsStream watch_stats(const v1::WatchStatsRequest& request);
  LogEntryStream read_logs(const v1::ReadLogsRequest& request);

 private:
  template <typename Message>
  friend class Stream;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A new UUID (version 4) for request_id.
std::string new_request_id();

}  // namespace appd::ctl
