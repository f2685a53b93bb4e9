// Content-Length, chunked and until-close bodies, as far as tests need them.
#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>
#include <utility>

namespace appd::test {
namespace {

constexpr timeval kDeadline{10, 0};

std::string field(const std::string& head, std::string_view name) {
  std::size_t at = head.find("\r\n" + std::string(name) + ": ");
  if (at == std::string::npos) return {};
  at += name.size() + 4;
  return head.substr(at, head.find("\r\n", at) - at);
}

}  // namespace

HttpClient::HttpClient(std::uint16_t port, int receive_buffer)
    : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kDeadline, sizeof(kDeadline));
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kDeadline, sizeof(kDeadline));
  if (receive_buffer > 0) {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) < 0) {
    socket_.reset();
  }
}

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool HttpClient::fill() {
  char buffer[16 * 1024];
  ssize_t got = ::recv(socket_.get(), buffer, sizeof(buffer), 0);
  if (got <= 0) return false;
  input_.append(buffer, static_cast<std::size_t>(got));
  return true;
}

std::optional<Answer> HttpClient::receive(bool to_head) {
  std::size_t end;
  while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return std::nullopt;
  }
  Answer answer;
  answer.head = input_.substr(0, end + 2);
  answer.status = std::atoi(answer.head.c_str() + 9);
  input_.erase(0, end + 4);
  if (to_head || answer.status == 204 || answer.status == 304 || answer.status < 200) return answer;
  if (std::string length = field(answer.head, "Content-Length"); !length.empty()) {
    std::size_t size = std::strtoul(length.c_str(), nullptr, 10);
    while (input_.size() < size) {
      if (!fill()) return std::nullopt;
    }
    answer.body = input_.substr(0, size);
    input_.erase(0, size);
    return answer;
  }
  if (field(answer.head, "Transfer-Encoding") != "chunked") {
    while (fill()) {
    }
    answer.body = std::exchange(input_, {});
    return answer;
  }
  for (;;) {
    std::size_t line;
    while ((line = input_.find("\r\n")) == std::string::npos) {
      if (!fill()) return std::nullopt;
    }
    std::size_t size = std::strtoul(input_.c_str(), nullptr, 16);
    while (input_.size() < line + 2 + size + 2) {
      if (!fill()) return std::nullopt;
    }
    answer.body += input_.substr(line + 2, size);
    input_.erase(0, line + 2 + size + 2);
    if (size == 0) return answer;
  }
}

std::optional<Answer> HttpClient::get(std::string_view path) {
  if (!send("GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n\r\n")) return std::nullopt;
  return receive();
}

bool HttpClient::ended() {
  char byte;
  return input_.empty() && ::recv(socket_.get(), &byte, 1, 0) == 0;
}

std::string HttpClient::rest() {
  while (fill()) {
  }
  return std::exchange(input_, {});
}

void HttpClient::end_sending() { ::shutdown(socket_.get(), SHUT_WR); }

Answer fetch(std::uint16_t port, std::string_view path) {
  HttpClient client(port);
  if (!client.connected()) return {};
  return client.get(path).value_or(Answer{});
}

}  // namespace appd::test
