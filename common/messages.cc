// Encoding of the messages and their transport over SEQPACKET sockets.
#include "common/messages.h"

#include <sys/socket.h>

#include <cerrno>
#include <concepts>
#include <cstring>
#include <type_traits>
#include <utility>

namespace appd::message {
namespace {

// Each struct lists its fields once; the same list writes and reads them.
template <typename Archive, typename T>
void fields(Archive& a, T& m) {
  using M = std::remove_const_t<T>;
  if constexpr (std::same_as<M, Settings>) {
    a(m.revision, m.threads, m.timeout_ms, m.request_timeout_ms, m.graceful_timeout_ms,
      m.keepalive_ms, m.client_header_timeout_ms, m.client_body_timeout_ms, m.send_timeout_ms,
      m.limit_request_line, m.limit_request_fields, m.limit_request_field_size,
      m.limit_request_body, m.worker_connections, m.forwarded_allow_ips, m.proxy_protocol,
      m.proxy_allow_ips, m.access_log, m.access_log_format, m.ws_max_size, m.ws_ping_interval_ms,
      m.ws_ping_timeout_ms, m.ws_per_message_deflate, m.websocket_drain_ms, m.startsecs_ms,
      m.stop_signal, m.health_path, m.health_status_first, m.health_status_last,
      m.health_timeout_ms, m.health_tries, m.log_prefix);
  } else if constexpr (std::same_as<M, Load>) {
    a(m.app, m.rollout, m.directory, m.app_uri, m.preload, m.warmup_paths, m.worker_class, m.loop,
      m.lifespan, m.root_path, m.command, m.run_once, m.run_once_timeout_ms, m.log_path,
      m.access_log_path, m.settings);
  } else if constexpr (std::same_as<M, Fork> || std::same_as<M, Drain> || std::same_as<M, Kill> ||
                       std::same_as<M, TakeStacks>) {
    a(m.worker);
  } else if constexpr (std::same_as<M, CancelRequest>) {
    a(m.worker, m.number);
  } else if constexpr (std::same_as<M, Tune>) {
    a(m.settings);
  } else if constexpr (std::same_as<M, Quit> || std::same_as<M, Reopen>) {
  } else if constexpr (std::same_as<M, Hello>) {
    a(m.protocol, m.pid, m.app, m.rollout, m.python_version, m.workers, m.settings, m.stage);
  } else if constexpr (std::same_as<M, Stage>) {
    a(m.phase, m.surge, m.baking, m.baked_ms, m.canary, m.old);
  } else if constexpr (std::same_as<M, Tally>) {
    a(m.requests, m.errors, m.latency);
  } else if constexpr (std::same_as<M, Loaded>) {
    a(m.preloaded, m.note, m.took_ms, m.worker_class, m.ran_once);
  } else if constexpr (std::same_as<M, RunningOnce>) {
    a(m.number, m.count, m.command);
  } else if constexpr (std::same_as<M, RunOnceFailed>) {
    a(m.summary, m.output);
  } else if constexpr (std::same_as<M, LoadFailed>) {
    a(m.not_found, m.summary, m.traceback);
  } else if constexpr (std::same_as<M, Forked>) {
    a(m.worker, m.pid, m.draining, m.age_ms);
  } else if constexpr (std::same_as<M, ForkFailed>) {
    a(m.worker, m.sys_errno);
  } else if constexpr (std::same_as<M, Ready>) {
    a(m.worker, m.settings_revision, m.worker_class, m.age_ms);
  } else if constexpr (std::same_as<M, Tuned>) {
    a(m.worker, m.settings_revision);
  } else if constexpr (std::same_as<M, BootFailed>) {
    a(m.worker, m.cause, m.summary, m.traceback);
  } else if constexpr (std::same_as<M, Stacks>) {
    a(m.worker, m.text);
  } else if constexpr (std::same_as<M, Stuck>) {
    a(m.worker, m.request, m.after_ms, m.what);
  } else {
    static_assert(std::same_as<M, Exited>);
    a(m.worker, m.pid, m.wait_status, m.cause, m.detail, m.start_time, m.ready_time, m.end_time,
      m.stacks);
  }
}

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  template <typename... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }

 private:
  template <typename T>
  requires std::integral<T> || std::is_enum_v<T>
  void put(T value) { out_.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  void put(const std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    out_ += text;
  }
  void put(const std::vector<std::string>& list) {
    put(static_cast<std::uint32_t>(list.size()));
    for (const auto& text : list) put(text);
  }
  template <std::size_t N>
  void put(const std::array<std::uint64_t, N>& numbers) {
    for (std::uint64_t number : numbers) put(number);
  }
  void put(const Settings& settings) { fields(*this, settings); }
  void put(const Tally& tally) { fields(*this, tally); }
  void put(const Stage& stage) { fields(*this, stage); }

  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  template <typename... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  bool complete() const { return !failed_ && in_.empty(); }

 private:
  std::span<const std::byte> take(std::size_t size) {
    if (failed_ || size > in_.size()) {
      failed_ = true;
      return {};
    }
    auto taken = in_.first(size);
    in_ = in_.subspan(size);
    return taken;
  }
  template <typename T>
  requires std::integral<T>
  void get(T& value) {
    auto bytes = take(sizeof(T));
    if (bytes.empty()) return;
    if constexpr (std::same_as<T, bool>) {
      value = bytes[0] != std::byte{0};
    } else {
      std::memcpy(&value, bytes.data(), sizeof(T));
    }
  }
  void get_enum(std::uint8_t last, std::uint8_t& raw) {
    get(raw);
    if (raw > last) failed_ = true;
  }
  void get(Preload& value) {
    std::uint8_t raw = 0;
    get_enum(static_cast<std::uint8_t>(Preload::Off), raw);
    value = static_cast<Preload>(raw);
  }
  void get(BootFailure& value) {
    std::uint8_t raw = 0;
    get_enum(static_cast<std::uint8_t>(BootFailure::Ended), raw);
    value = static_cast<BootFailure>(raw);
  }
  void get(ExitCause& value) {
    std::uint8_t raw = 0;
    get_enum(static_cast<std::uint8_t>(ExitCause::OutOfMemory), raw);
    value = static_cast<ExitCause>(raw);
  }
  void get(StagePhase& value) {
    std::uint8_t raw = 0;
    get_enum(static_cast<std::uint8_t>(StagePhase::Serving), raw);
    value = static_cast<StagePhase>(raw);
  }
  void get(std::string& text) {
    std::uint32_t size = 0;
    get(size);
    auto bytes = take(size);
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void get(std::vector<std::string>& list) {
    std::uint32_t size = 0;
    get(size);
    for (std::uint32_t i = 0; i < size && !failed_; ++i) get(list.emplace_back());
  }
  template <std::size_t N>
  void get(std::array<std::uint64_t, N>& numbers) {
    for (std::uint64_t& number : numbers) get(number);
  }
  void get(Settings& settings) { fields(*this, settings); }
  void get(Tally& tally) { fields(*this, tally); }
  void get(Stage& stage) { fields(*this, stage); }

  std::span<const std::byte> in_;
  bool failed_ = false;
};

Error malformed(const char* what) {
  return {ErrorCode::InvalidArgument, "MESSAGE_MALFORMED", what, EBADMSG};
}

template <std::size_t I = 0>
Result<Message> decode_as(std::size_t tag, std::span<const std::byte> body) {
  if constexpr (I < std::variant_size_v<Message>) {
    if (tag != I) return decode_as<I + 1>(tag, body);
    std::variant_alternative_t<I, Message> message;
    Reader reader(body);
    fields(reader, message);
    if (!reader.complete()) return malformed("message is cut short or too long");
    return Message(std::move(message));
  } else {
    return malformed("unknown message tag");
  }
}

}  // namespace

std::string encode(const Message& message) {
  std::string out(1, static_cast<char>(message.index()));
  Writer writer(out);
  std::visit([&writer](const auto& m) { fields(writer, m); }, message);
  return out;
}

Result<Message> decode(std::span<const std::byte> bytes) {
  if (bytes.empty()) return malformed("empty message");
  return decode_as(std::to_integer<std::size_t>(bytes[0]), bytes.subspan(1));
}

Result<void> Channel::send(const Message& message, std::span<const int> descriptors) const {
  std::string bytes = encode(message);
  APPD_CHECK(bytes.size() <= kMaxMessage && descriptors.size() <= kMaxDescriptors);
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) >= 0) return {};
    if (errno != EINTR) return sys_error("LINK_SEND", "send message", errno);
  }
}

Result<Received> Channel::receive() const {
  std::vector<std::byte> bytes(kMaxMessage);
  iovec part{bytes.data(), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t size;
  do {
    size = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return sys_error("LINK_RECEIVE", "receive message", errno);
  Received received{Quit{}, {}};
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + at, sizeof(int));
      received.descriptors.emplace_back(fd);
    }
  }
  if (size == 0) return sys_error("LINK_CLOSED", "receive message", ECONNRESET);
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return malformed("message too large");
  received.message = TRY(decode(std::span(bytes).first(static_cast<std::size_t>(size))));
  return received;
}

Result<std::pair<Channel, Channel>> channel_pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
    return sys_error("LINK_CREATE", "create socket pair", errno);
  }
  return std::pair(Channel(UniqueFd(ends[0])), Channel(UniqueFd(ends[1])));
}

}  // namespace appd::message
