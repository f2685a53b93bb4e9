// What a WSGI app learns of clients behind proxies, and where it is mounted.
#include <gtest/gtest.h>

#include "tests/component/zygote_process.h"
#include "tests/support/http_client.h"

namespace appd::test {
namespace {

// Answers with what PEP 3333 and CGI say about the origin and the place.
const char* const kShown = R"(
from wsgiref.validate import validator

@validator
def app(environ, start_response):
    names = ["wsgi.url_scheme", "REMOTE_ADDR", "SCRIPT_NAME", "PATH_INFO", "HTTP_X_FORWARDED_FOR"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(environ.get(name) or "-" for name in names).encode("latin-1")]
)";

class WsgiOrigin : public testing::Test {
 protected:
  void serve(message::Settings settings, const std::string& root_path = "") {
    message::Load load;
    load.app_uri = "wsgi:app";
    load.settings = std::move(settings);
    load.root_path = root_path;
    zygote_.load(load);
    zygote_.expect<message::Loaded>();
    zygote_.send(message::Fork{1});
    zygote_.find<message::Ready>();
  }
  std::string shown(HttpClient& client, const std::string& target, const std::string& fields = "") {
    EXPECT_TRUE(client.send("GET " + target + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"));
    return client.receive().value_or(Answer{}).body;
  }

  ZygoteProcess zygote_{kShown};
};

TEST_F(WsgiOrigin, TrustedPeersSpeakForTheirClients) {
  serve({});
  HttpClient client(zygote_.port());
  EXPECT_EQ(shown(client, "/", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"),
            "https 192.0.2.1 - / 192.0.2.1");
  EXPECT_EQ(shown(client, "/"), "http 127.0.0.1 - / -") << "for each request anew";
}

TEST_F(WsgiOrigin, OthersAreHeardButNotBelieved) {
  message::Settings settings;
  settings.forwarded_allow_ips = "10.0.0.1";
  serve(settings);
  HttpClient client(zygote_.port());
  EXPECT_EQ(shown(client, "/", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"),
            "http 127.0.0.1 - / 192.0.2.1");
}

TEST_F(WsgiOrigin, TheClientOfAProxyHeaderIsTheRemoteAddress) {
  message::Settings settings;
  settings.proxy_protocol = "v1";
  serve(settings);
  HttpClient client(zygote_.port());
  ASSERT_TRUE(client.send("PROXY TCP6 2001:db8::7 ::1 4711 80\r\n"));
  EXPECT_EQ(shown(client, "/"), "http 2001:db8::7 - / -");
}

TEST_F(WsgiOrigin, RootPathIsTheScriptName) {
  serve({}, "/shop");
  HttpClient client(zygote_.port());
  EXPECT_EQ(shown(client, "/shop/cart"), "http 127.0.0.1 /shop /cart -");
  EXPECT_EQ(shown(client, "/s%68op/c%20art"), "http 127.0.0.1 /shop /c art -");
  EXPECT_EQ(shown(client, "/shop"), "http 127.0.0.1 /shop - -");
  EXPECT_EQ(shown(client, "/shopping"), "http 127.0.0.1 /shop /shopping -");
  EXPECT_EQ(shown(client, "/cart"), "http 127.0.0.1 /shop /cart -") << "taken off by a proxy";
}

}  // namespace
}  // namespace appd::test
