// Addresses: what is taken, what it becomes, and what is refused with which words.
#include "supervisor/model/address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstring>

namespace appd::model {
namespace {

TEST(Address, ParsesEveryFormAndPrintsItCanonically) {
  const std::pair<const char*, const char*> cases[] = {
      {"127.0.0.1:8000", "127.0.0.1:8000"},
      {"localhost:1", "127.0.0.1:1"},
      {"0.0.0.0:65535", "0.0.0.0:65535"},
      {"[::1]:80", "[::1]:80"},
      {"[0:0:0:0:0:0:0:1]:80", "[::1]:80"},
      {"[2001:DB8::1]:443", "[2001:db8::1]:443"},
      {"unix:/run/app.sock", "unix:/run/app.sock"},
      {"unix:/a path/with:colon", "unix:/a path/with:colon"},
  };
  for (const auto& [text, canonical] : cases) {
    auto address = parse_address(text);
    ASSERT_TRUE(address) << text << ": " << address.error().message;
    EXPECT_EQ(to_string(*address), canonical);
    auto again = parse_address(canonical);
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *address);
  }
}

TEST(Address, RefusesWhatCannotBeBound) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "needs a host and a port"},
      {"8000", "needs a host and a port"},
      {":8000", "needs a host and a port"},
      {"127.0.0.1", "needs a host and a port"},
      {"127.0.0.1:", "port must be a number from 1 to 65535"},
      {"127.0.0.1:0", "port must be a number from 1 to 65535"},
      {"127.0.0.1:65536", "port must be a number from 1 to 65535"},
      {"127.0.0.1:99999999999999999999", "port must be a number from 1 to 65535"},
      {"127.0.0.1:-1", "port must be a number from 1 to 65535"},
      {"127.0.0.1:080", "port must be a number from 1 to 65535"},
      {"127.0.0.1:http", "port must be a number from 1 to 65535"},
      {"127.0.0.1:80 ", "port must be a number from 1 to 65535"},
      {"256.0.0.1:80", "host must be numeric"},
      {"example.org:80", "host must be numeric"},
      {"127.1:80", "host must be numeric"},
      {"::1:80", "host must be numeric"},
      {"[127.0.0.1]:80", "must be an IPv6 address"},
      {"[fe80::1%eth0]:80", "must be an IPv6 address"},
      {"[]:80", "host must be numeric"},
      {"unix:", "must be absolute"},
      {"unix:relative.sock", "must be absolute"},
      {"unix:@abstract", "must be absolute"},
      {"unix:/run/", "name a file"},
      {"unix:/run/a\nb", "control characters"},
      {std::string("unix:/run/a\0b", 13), "control characters"},
      {"unix:/" + std::string(107, 'x'), "at most 107 bytes long and has 108"},
  };
  for (const auto& [text, words] : cases) {
    auto address = parse_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().reason, "SPEC_INVALID");
    EXPECT_NE(address.error().message.find(words), std::string::npos)
        << text << ": " << address.error().message;
  }
  EXPECT_TRUE(parse_address("unix:/" + std::string(106, 'x')));
}

TEST(Address, NetworksAreNumeric) {
  for (const char* text : {"10.0.0.1", "10.0.0.0/8", "0.0.0.0/0", "::1", "fd00::/8", "::/128"}) {
    EXPECT_TRUE(is_network(text)) << text;
  }
  for (const char* text : {"", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8",
                           "10.0.0.0/8/8", "[::1]", " ::1", "010.0.0.1"}) {
    EXPECT_FALSE(is_network(text)) << text;
  }
}

TEST(Address, BecomesWhatTheKernelTakes) {
  const SocketAddress v4 = to_socket_address(*parse_address("127.0.0.1:8000"));
  sockaddr_in in{};
  std::memcpy(&in, &v4.storage, sizeof(in));
  EXPECT_EQ(in.sin_family, AF_INET);
  EXPECT_EQ(ntohs(in.sin_port), 8000);
  EXPECT_EQ(ntohl(in.sin_addr.s_addr), 0x7f000001u);

  const SocketAddress v6 = to_socket_address(*parse_address("[::1]:80"));
  EXPECT_EQ(v6.get()->sa_family, AF_INET6);
  EXPECT_EQ(v6.length, sizeof(sockaddr_in6));

  const SocketAddress local = to_socket_address(*parse_address("unix:/run/app.sock"));
  sockaddr_un un{};
  std::memcpy(&un, &local.storage, sizeof(un));
  EXPECT_EQ(un.sun_family, AF_UNIX);
  EXPECT_STREQ(un.sun_path, "/run/app.sock");
  EXPECT_EQ(local.length, offsetof(sockaddr_un, sun_path) + std::strlen("/run/app.sock") + 1);
}

TEST(Address, OfAPeerIsWrittenAsAnAddressIs) {
  for (const char* text : {"10.0.0.7:53230", "[::1]:1", "[fe80::1]:65535"}) {
    EXPECT_EQ(describe_peer(to_socket_address(*parse_address(text)).storage), text);
  }
  SocketAddress link = to_socket_address(*parse_address("[fe80::1]:9"));
  reinterpret_cast<sockaddr_in6*>(&link.storage)->sin6_scope_id = 2;
  EXPECT_EQ(describe_peer(link.storage), "[fe80::1%2]:9");
  EXPECT_EQ(describe_peer(to_socket_address(*parse_address("unix:/s")).storage), "");
}

}  // namespace
}  // namespace appd::model
