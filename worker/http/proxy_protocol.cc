// Version 1 is a line of text, version 2 a struct after a signature that no HTTP request begins
// with.
#include "worker/http/proxy_protocol.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>
#include <optional>

namespace appd::http {
namespace {

using namespace std::string_view_literals;
using Verdict = ProxyStep::Verdict;

constexpr std::string_view kSignature1 = "PROXY ";
constexpr std::string_view kSignature2 = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::size_t kMaxLine = 107;  // CR LF included
constexpr std::size_t kFixed2 = 16;    // up to the addresses

ProxyStep refuse(Refusal& refusal, const char* rule) {
  refusal = {400, rule};
  return {Verdict::Refused};
}

constexpr const char* kMissing = "PROXY header is missing (proxy_protocol)";
constexpr const char* kBadLine = "PROXY line is not 'PROXY TCP4|TCP6 source destination ports'";
constexpr const char* kLongLine = "PROXY line is longer than 107 bytes";
constexpr const char* kBadHeader = "PROXY header of version 2 is malformed";
constexpr const char* kLongHeader = "PROXY header is longer than 4096 bytes";

bool begins_alike(std::string_view bytes, std::string_view signature) {
  std::size_t shorter = std::min(bytes.size(), signature.size());
  return bytes.substr(0, shorter) == signature.substr(0, shorter);
}

// Takes the next word and the one space after it, which the last word does not have.
std::optional<std::string_view> take_word(std::string_view& line, bool last) {
  std::size_t space = line.find(' ');
  if ((space == std::string_view::npos) != last) return std::nullopt;
  std::string_view word = line.substr(0, space);
  line.remove_prefix(last ? line.size() : space + 1);
  return word;
}

bool is_address(std::string_view text, int family) {
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof(terminated)) return false;
  text.copy(terminated, text.size());
  in6_addr parsed;
  // inet_pton would stop at a NUL.
  return text.find('\0') == std::string_view::npos && ::inet_pton(family, terminated, &parsed) == 1;
}

bool read_port(std::string_view text, std::uint16_t& port) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && at == text.data() + text.size();
}

bool read_line(std::string_view line, ProxySource& source) {
  line.remove_prefix(kSignature1.size());
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return true;
  auto protocol = take_word(line, false);
  if (protocol != "TCP4" && protocol != "TCP6") return false;
  int family = protocol == "TCP4" ? AF_INET : AF_INET6;
  auto from = take_word(line, false);
  auto to = take_word(line, false);
  auto from_port = take_word(line, false);
  auto to_port = take_word(line, true);
  std::uint16_t unused = 0;
  if (!from || !to || !from_port || !to_port || !is_address(*from, family) ||
      !is_address(*to, family) || !read_port(*from_port, source.port) ||
      !read_port(*to_port, unused)) {
    return false;
  }
  source.address = *from;
  return true;
}

ProxyStep read_version_1(std::string_view bytes, ProxySource& source, Refusal& refusal) {
  std::size_t end = bytes.substr(0, kMaxLine).find('\n');
  std::string_view line = bytes.substr(0, std::min(end, kMaxLine));
  // A carriage return is the last byte, or the last but the line feed.
  std::size_t carriage = line.find('\r');
  if (carriage < line.size() - 1) return refuse(refusal, kBadLine);
  if (end == std::string_view::npos) {
    if (bytes.size() >= kMaxLine) return refuse(refusal, kLongLine);
    return {Verdict::NeedMore};
  }
  if (carriage == std::string_view::npos || !read_line(line.substr(0, carriage), source)) {
    return refuse(refusal, kBadLine);
  }
  return {Verdict::Complete, end + 1};
}

std::uint16_t big_endian(std::string_view bytes) {
  auto byte = [&](std::size_t at) {
    return static_cast<unsigned>(static_cast<std::uint8_t>(bytes[at]));
  };
  return static_cast<std::uint16_t>(byte(0) << 8 | byte(1));
}

// "source, destination, source port, destination port", of addresses of this size. False: too
// short.
bool read_addresses(std::string_view body, int family, std::size_t size, ProxySource& source) {
  if (body.size() < 2 * size + 4) return false;
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, body.data(), text, sizeof(text));
  source.address = text;
  source.port = big_endian(body.substr(2 * size));
  return true;
}

ProxyStep read_version_2(std::string_view bytes, ProxySource& source, Refusal& refusal) {
  std::size_t at = kSignature2.size();
  if (bytes.size() <= at) return {Verdict::NeedMore};
  auto version_command = static_cast<std::uint8_t>(bytes[at]);
  if (version_command != 0x20 && version_command != 0x21) return refuse(refusal, kBadHeader);
  if (bytes.size() <= at + 1) return {Verdict::NeedMore};
  auto family_protocol = static_cast<std::uint8_t>(bytes[at + 1]);
  if (family_protocol >> 4 > 3 || (family_protocol & 15) > 2) return refuse(refusal, kBadHeader);
  if (bytes.size() < kFixed2) return {Verdict::NeedMore};
  std::size_t length = big_endian(bytes.substr(at + 2));
  if (kFixed2 + length > kMaxProxyHeader) return refuse(refusal, kLongHeader);
  if (bytes.size() < kFixed2 + length) return {Verdict::NeedMore};
  std::string_view body = bytes.substr(kFixed2, length);
  bool good = true;
  if (version_command == 0x21 && family_protocol == 0x11) {
    good = read_addresses(body, AF_INET, sizeof(in_addr), source);
  } else if (version_command == 0x21 && family_protocol == 0x21) {
    good = read_addresses(body, AF_INET6, sizeof(in6_addr), source);
  }
  return good ? ProxyStep{Verdict::Complete, kFixed2 + length} : refuse(refusal, kBadHeader);
}

}  // namespace

ProxyMode proxy_mode(std::string_view name) {
  if (name == "v1") return ProxyMode::V1;
  if (name == "v2") return ProxyMode::V2;
  return name == "auto" ? ProxyMode::Auto : ProxyMode::Off;
}

ProxyStep read_proxy_header(std::string_view bytes, ProxyMode mode, ProxySource& source,
                            Refusal& refusal) {
  source = {};
  if (bytes.empty()) return {Verdict::NeedMore};
  bool may_be_1 = mode != ProxyMode::V2 && begins_alike(bytes, kSignature1);
  bool may_be_2 = mode != ProxyMode::V1 && begins_alike(bytes, kSignature2);
  if (may_be_1 && bytes.size() >= kSignature1.size()) {
    return read_version_1(bytes, source, refusal);
  }
  if (may_be_2 && bytes.size() >= kSignature2.size()) {
    return read_version_2(bytes, source, refusal);
  }
  if (may_be_1 || may_be_2) return {Verdict::NeedMore};
  return mode == ProxyMode::Auto ? ProxyStep{Verdict::None} : refuse(refusal, kMissing);
}

}  // namespace appd::http
