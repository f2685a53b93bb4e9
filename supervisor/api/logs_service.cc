// Logs: reading and reopening them. A reader is a batch in hand; the next is asked for when its
// client has taken this one.
#include <re2/re2.h>

#include <deque>

#include "supervisor/api/change_options.h"
#include "supervisor/api/services.h"
#include "supervisor/api/stream_call.h"
#include "supervisor/model/text.h"

namespace appd::api {
namespace {

using Logs = v1::Logs::Service;
using Request = v1::ReadLogsRequest;

constexpr std::int32_t kMostTail = 100'000;
constexpr std::size_t kMostPattern = 1000;

struct Checked {
  std::string app;
  core::LogQuery query;
};

Answer<bool> check_source(const Request& request, core::LogQuery& query) {
  switch (request.source()) {
    case Request::SOURCE_UNSPECIFIED:
    case Request::APP:
      break;
    case Request::ACCESS:
    case Request::BOTH:
      query.app = request.source() == Request::BOTH;
      query.access = true;
      break;
    default:
      return request_invalid("source", "has no enumerator " + std::to_string(request.source()) +
                                           ": choose APP, ACCESS or BOTH");
  }
  query.follow = request.follow();
  if (request.has_worker()) {
    if (request.worker() < 1) {
      return request_invalid("worker", "must be a worker's number, 1 or more, but got " +
                                           std::to_string(request.worker()));
    }
    if (query.access) {
      return request_invalid("worker",
                             "lines of the access log do not tell their worker: ask for the source "
                             "APP, or put %(p)s into access_log_format and look for the pid");
    }
    query.worker = request.worker();
  }
  return true;
}

Answer<bool> check_range(const Request& request, core::LogQuery& query) {
  if (request.has_tail()) {
    if (request.tail() < 0 || request.tail() > kMostTail) {
      return request_invalid("tail", "must be 0 to " + std::to_string(kMostTail) + ", but got " +
                                         std::to_string(request.tail()) +
                                         ": leave it out for all lines");
    }
    query.tail = request.tail();
  }
  if (request.has_since() && request.has_since_time()) {
    return request_invalid("since", "and since_time say the same: give one of them");
  }
  if (request.has_since()) {
    const google::protobuf::Duration& ago = request.since();
    if (ago.seconds() < 0 || ago.nanos() < 0 || ago.seconds() > 315'576'000'000) {
      return request_invalid("since", "must be a duration of 0 or more");
    }
    // Longer ago than there are logs is all of them.
    const auto seconds = std::min<std::int64_t>(ago.seconds(), 3'000'000'000);
    query.since = std::chrono::system_clock::now() - std::chrono::seconds(seconds) -
                  std::chrono::nanoseconds(ago.nanos());
  }
  if (request.has_since_time()) {
    const auto seconds = std::clamp<std::int64_t>(request.since_time().seconds(), 0, 9'000'000'000);
    query.since =
        model::WallTime(std::chrono::seconds(seconds)) +
        std::chrono::nanoseconds(std::clamp(request.since_time().nanos(), 0, 999'999'999));
  }
  if (!request.after().empty() && !runtime::valid_cursor(request.after())) {
    return request_invalid(
        "after", "must be the cursor of an entry, but got " + model::in_quotes(request.after()));
  }
  query.after = request.after();
  return true;
}

// Both in time linear in the line: no pattern holds up the reader.
Answer<bool> check_patterns(const Request& request, core::LogQuery& query) {
  for (const auto& [field, text] :
       {std::pair("contains", &request.contains()), std::pair("matches", &request.matches())}) {
    if (text->size() > kMostPattern) {
      return request_invalid(field, "must be at most " + std::to_string(kMostPattern) +
                                        " bytes long, but has " + std::to_string(text->size()));
    }
  }
  std::shared_ptr<RE2> pattern;
  if (!request.matches().empty()) {
    RE2::Options options(RE2::Quiet);
    options.set_max_mem(std::int64_t{1} << 20);
    pattern = std::make_shared<RE2>(request.matches(), options);
    if (!pattern->ok()) {
      return request_invalid("matches", "is no regular expression: " + pattern->error());
    }
  }
  if (request.contains().empty() && !pattern) return true;
  query.wanted = [pattern, part = request.contains()](std::string_view line) {
    return line.find(part) != std::string_view::npos &&
           (!pattern || RE2::PartialMatch(re2::StringPiece(line.data(), line.size()), *pattern));
  };
  return true;
}

Answer<Checked> check(const Request& request) {
  const auto id = parse_app_name(request.name(), "name");
  if (!id) return id.rejection();
  Checked checked{id.value(), {}};
  for (const auto part : {check_source, check_range, check_patterns}) {
    const Answer<bool> passed = part(request, checked.query);
    if (!passed) return passed.rejection();
  }
  return checked;
}

void fill(const core::LogEntry& entry, const std::string& app, v1::LogEntry& out) {
  out.set_app(app);
  out.set_source(entry.source == core::LogSource::App ? Request::APP : Request::ACCESS);
  if (entry.time) to_proto(*entry.time, *out.mutable_time());
  out.set_rollout(entry.rollout);
  out.set_worker(entry.worker);
  out.set_line(entry.line);
  out.set_truncated(entry.truncated);
  out.set_gap(entry.gap);
  out.set_cursor(entry.cursor);
}

class ReadLogsCall final : public StreamCall<Request, v1::LogEntry> {
 public:
  ReadLogsCall(CallHost& host, reconcile::Control& control) : StreamCall(host), control_(control) {}

 private:
  void start() override {
    const Answer<Checked> checked = check(request());
    if (!checked) return reject(checked.rejection());
    about("resource", request().name());
    const auto deliver = [me = weak(this), mailbox = host_.mailbox()](core::LogBatch batch) {
      const auto shared = std::make_shared<core::LogBatch>(std::move(batch));
      mailbox->post([me, shared] {
        if (const auto call = me.lock()) call->take(std::move(*shared));
      });
    };
    control_.read_logs(checked.value().app, checked.value().query, deliver,
                       [me = weak(this), mailbox = host_.mailbox()](auto answer) {
                         mailbox->post([me, answer = std::move(answer)] {
                           if (const auto call = me.lock()) call->begin_reading(answer);
                         });
                       });
  }

  void begin_reading(const Answer<std::shared_ptr<reconcile::LogReading>>& answer) {
    if (ended()) return;
    if (!answer) return reject(answer.rejection());
    reading_ = answer.value();
    reading_->next();
  }

  void take(core::LogBatch batch) {
    if (ended()) return;
    if (batch.error) return reject({*std::move(batch.error), {}});
    entries_.assign(std::make_move_iterator(batch.entries.begin()),
                    std::make_move_iterator(batch.entries.end()));
    last_batch_ = batch.ended;
    asked_ = false;
    pump();
  }

  bool write_more(v1::LogEntry& message) override {
    if (entries_.empty()) {
      go_on();
      return false;
    }
    fill(entries_.front(), request().name(), message);
    entries_.pop_front();
    return true;
  }

  // The client has this batch.
  void go_on() {
    if (reading_ == nullptr) return;
    if (last_batch_) {
      end(grpc::Status::OK);
    } else if (!std::exchange(asked_, true)) {
      reading_->next();
    }
  }

  void on_done() override { reading_.reset(); }

  reconcile::Control& control_;
  std::shared_ptr<reconcile::LogReading> reading_;
  std::deque<core::LogEntry> entries_;
  bool last_batch_ = false;
  bool asked_ = true;
};

void reopen_logs(reconcile::Control& control,
                 UnaryCall<v1::ReopenLogsRequest, v1::ReopenLogsResponse>& call) {
  std::string app;  // empty: all
  if (call.request().name() != "apps/-") {
    const auto id = parse_app_name(call.request().name(), "name");
    if (!id) return call.reject(id.rejection());
    app = id.value();
    call.about("resource", call.request().name());
  }
  const auto answer = [](auto& done, std::int32_t apps) {
    v1::ReopenLogsResponse response;
    response.set_apps(apps);
    done.finish(response);
  };
  auto options = options_of(call);
  if (!options) return;
  control.reopen_logs({std::move(app), *std::move(options)}, call.then<std::int32_t>(answer));
}

}  // namespace

void LogsService::serve(CallHost& host) {
  serve_stream<ReadLogsCall>(host, service_, &Logs::ReadLogs, control_);
  serve_unary(host, service_, &Logs::ReopenLogs,
              [this](auto& call) { reopen_logs(control_, call); });
}

}  // namespace appd::api
