// Credentials over gRPC's certificate fetcher, which its C++ interface does not have: it is asked
// at the begin of each handshake, so that nothing has to watch the files.
#include "supervisor/api/tls.h"

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>

#include <mutex>
#include <string_view>

namespace appd::api {
namespace {

class TlsCredentials final : public grpc::ServerCredentials {
 public:
  TlsCredentials(runtime::Certificates& files, spdlog::logger& log) : files_(files), log_(log) {
    const auto ask = files.settings().client_ca.empty()
                         ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                         : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
    credentials_ = ::grpc_ssl_server_credentials_create_with_options(
        ::grpc_ssl_server_credentials_create_options_using_config_fetcher(ask, fetch, this));
  }
  ~TlsCredentials() override { ::grpc_server_credentials_release(credentials_); }
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return ::grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // Any of gRPC's threads.
  static grpc_ssl_certificate_config_reload_status fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    return static_cast<TlsCredentials*>(self)->renew(config);
  }
  grpc_ssl_certificate_config_reload_status renew(grpc_ssl_server_certificate_config** config) {
    const std::lock_guard lock(mutex_);
    const runtime::Certificates::News news = files_.refresh();
    if (news.refused) {
      log_.warn("a new certificate is ignored, going on with the one before why=\"{}\"",
                news.refused->message);
    }
    if (news.changed) log_.info("certificate renewed cert={}", files_.settings().cert);
    if (news.pem == given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair{news.pem->key.c_str(), news.pem->chain.c_str()};
    // gRPC wants roots even where it asks nobody for a certificate.
    const std::string& roots = news.pem->client_ca.empty() ? news.pem->chain : news.pem->client_ca;
    *config = ::grpc_ssl_server_certificate_config_create(roots.c_str(), &pair, 1);
    given_ = news.pem;
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  runtime::Certificates& files_;
  spdlog::logger& log_;
  grpc_server_credentials* credentials_;
  std::mutex mutex_;                           // guards given_
  std::shared_ptr<const runtime::Pem> given_;  // to gRPC
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> tls_credentials(runtime::Certificates& files,
                                                         spdlog::logger& log) {
  return std::make_shared<TlsCredentials>(files, log);
}

std::vector<std::string> client_names(const grpc::AuthContext& context) {
  std::vector<std::string> names;
  const auto add = [&](const char* property) {
    for (const grpc::string_ref& name : context.FindPropertyValues(property)) {
      names.emplace_back(name.data(), name.size());
    }
  };
  add(GRPC_PEER_URI_PROPERTY_NAME);
  add(GRPC_PEER_DNS_PROPERTY_NAME);
  if (names.empty()) add(GRPC_X509_CN_PROPERTY_NAME);
  return names;
}

void take_grpc_log(std::shared_ptr<spdlog::logger> log) {
  // gRPC's function takes nothing along, and may be called until the process is gone.
  static auto& taken = *new std::shared_ptr<spdlog::logger>();
  static auto& mutex = *new std::mutex();
  {
    const std::lock_guard lock(mutex);
    taken = std::move(log);
  }
  ::gpr_set_log_function([](gpr_log_func_args* line) {
    const std::lock_guard lock(mutex);
    const bool is_bug = std::string_view(line->message).starts_with("assertion failed");
    taken->log(is_bug ? spdlog::level::critical : spdlog::level::debug,
               "grpc says at={}:{} what=\"{}\"", line->file, line->line, line->message);
  });
}

}  // namespace appd::api
