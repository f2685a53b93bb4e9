// Files of credentials, looked at before anything is sent anywhere.
#include "ctl/credentials.h"

#include <algorithm>

#include "ctl/files.h"

namespace appd::ctl {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;

Error wrong(const std::string& what) {
  return {ErrorCode::InvalidArgument, "CREDENTIALS_INVALID", what, 0};
}

Result<std::string> read_pem(const char* option, const std::string& path) {
  if (path.empty()) return std::string();
  auto text = read_file(path, kLargestFile);
  if (!text) return std::move(text).error().context(option);
  if (text->find("-----BEGIN ") == std::string::npos) {
    return wrong(std::string(option) + ": " + path + " is no PEM file");
  }
  return text;
}

// What HTTP/2 takes in a header; gRPC ends the program over anything else.
Result<std::string> checked_token(const std::string& from, std::string text) {
  text = text.substr(0, text.find('\n'));
  const auto blank = [](unsigned char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(static_cast<unsigned char>(text.back()))) text.pop_back();
  const bool printable =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
  if (text.empty() || !printable) {
    return wrong(from + ": holds no token: write into it what appctl token create has shown");
  }
  return text;
}

}  // namespace

void add_from_environment(Target& target, const Environment& environment) {
  const auto take = [&](std::string& value, const char* name) {
    if (value.empty()) value = environment(name).value_or("");
  };
  take(target.ca, "APPD_CA");
  if (target.cert.empty() && target.key.empty()) {
    take(target.cert, "APPD_CERT");
    take(target.key, "APPD_KEY");
  }
  take(target.token_file, "APPD_TOKEN_FILE");
  if (target.token_file.empty()) take(target.token, "APPD_TOKEN");
}

Result<Credentials> read_credentials(const Target& target) {
  Credentials credentials;
  if (target.cert.empty() != target.key.empty()) {
    return wrong("--cert and --key belong together: give both, or none");
  }
  credentials.ca = TRY(read_pem("--ca", target.ca));
  credentials.cert = TRY(read_pem("--cert", target.cert));
  credentials.key = TRY(read_pem("--key", target.key));
  if (!target.token_file.empty()) {
    auto text = read_file(target.token_file, kLargestFile);
    if (!text) return std::move(text).error().context("--token-file");
    credentials.token = TRY(checked_token("--token-file: " + target.token_file, *std::move(text)));
  } else if (!target.token.empty()) {
    credentials.token = TRY(checked_token("APPD_TOKEN", target.token));
  }
  return credentials;
}

}  // namespace appd::ctl
