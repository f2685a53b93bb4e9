// gRPC's channel, and what it says of one that does not come about.
#include "ctl/client_channel.h"

#include <grpc/support/log.h>
#include <grpcpp/security/credentials.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "common/unique_fd.h"

namespace appd::ctl {
namespace {

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
  std::string why = handshake.empty() ? said : handshake;
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

}  // namespace

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

std::string why_unreachable(const ClientOptions& options, const std::string& said) {
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

}  // namespace appd::ctl
