// Reading an answer that our own engine has written: its head is well-formed, its body is the
// app's.
#include "worker/zygote/health_answer.h"

#include <algorithm>
#include <charconv>

#include "worker/http/utf8.h"

namespace appd::zygote {
namespace {

constexpr std::size_t kShown = 2048;
constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr std::string_view kLength = "\r\ncontent-length: ";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::size_t find_ignoring_case(std::string_view text, std::string_view wanted) {
  const auto* found = std::search(text.begin(), text.end(), wanted.begin(), wanted.end(),
                                  [](char a, char b) { return lower(a) == lower(b); });
  return found == text.end() ? std::string_view::npos
                             : static_cast<std::size_t>(found - text.begin());
}

// What cannot be shown as it is becomes a question mark.
std::string shown(std::string_view body) {
  http::Utf8Check check;
  // The cut may have gone through a character.
  bool utf8 = check.take(body);
  while (utf8 && !check.complete() && !body.empty()) {
    body.remove_suffix(1);
    check = {};
    utf8 = check.take(body);
  }
  std::string out(body);
  for (char& c : out) {
    bool control = (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
    if (control || (!utf8 && static_cast<unsigned char>(c) >= 0x80)) c = '?';
  }
  return out;
}

}  // namespace

std::string HealthAnswer::request(std::string_view path) {
  return "GET " + std::string(path) +
         " HTTP/1.0\r\nHost: localhost\r\nUser-Agent: appd-health-check\r\nAccept: */*\r\n\r\n";
}

void HealthAnswer::take(std::string_view bytes) {
  received_ += bytes.size();
  begin_.append(bytes.substr(0, kKept - std::min(begin_.size(), kKept)));
}

std::size_t HealthAnswer::head_size() const {
  std::size_t end = begin_.find(kEndOfHead);
  return end == std::string::npos ? 0 : end + kEndOfHead.size();
}

// "HTTP/1.1 503 Service Unavailable"
int HealthAnswer::status() const {
  constexpr std::size_t kAt = 9;
  int status = 0;
  if (begin_.size() < kAt + 3 || !begin_.starts_with("HTTP/1.")) return 0;
  std::from_chars(begin_.data() + kAt, begin_.data() + kAt + 3, status);
  return status;
}

bool HealthAnswer::complete() const {
  std::size_t head = head_size();
  if (head == 0) return false;
  std::size_t at = find_ignoring_case(std::string_view(begin_).substr(0, head), kLength);
  if (at == std::string_view::npos) return true;
  std::size_t length = 0;
  const char* digits = begin_.data() + at + kLength.size();
  std::from_chars(digits, begin_.data() + head, length);
  return received_ - head >= length;
}

std::string HealthAnswer::text() const {
  std::string_view all = begin_;
  std::size_t head = head_size();
  if (head == 0) return shown(all.substr(0, kShown));
  std::string_view body = all.substr(head);
  std::string out = shown(all.substr(0, all.find("\r\n")));
  if (!body.empty()) out += "\n\n" + shown(body.substr(0, kShown));
  if (received_ - head > kShown) out += "\n[...]";
  return out;
}

}  // namespace appd::zygote
