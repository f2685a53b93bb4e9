// PROXY headers: every file of the corpus, shown in pieces of every size, and what they mean.
//
// A file's name begins with its verdict in the mode "auto": ok, none, more or bad.
#include "worker/http/proxy_protocol.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/worker/corpus.h"

namespace appd::http {
namespace {

using Verdict = ProxyStep::Verdict;

struct Reading {
  Verdict verdict;
  std::size_t used;
  ProxySource source;
  Refusal refusal;
  bool operator==(const Reading& other) const {
    return verdict == other.verdict && used == other.used &&
           source.address == other.source.address && source.port == other.source.port &&
           refusal.status == other.refusal.status && refusal.rule == other.refusal.rule;
  }
};

Reading read(std::string_view bytes, ProxyMode mode = ProxyMode::Auto) {
  Reading reading{};
  auto step = read_proxy_header(bytes, mode, reading.source, reading.refusal);
  reading.verdict = step.verdict;
  reading.used = step.used;
  return reading;
}

// The verdict when so many bytes more are shown each time.
Reading read_in_pieces(std::string_view bytes, std::size_t piece) {
  for (std::size_t size = piece; size < bytes.size(); size += piece) {
    Reading reading = read(bytes.substr(0, size));
    if (reading.verdict != Verdict::NeedMore) return reading;
  }
  return read(bytes);
}

std::string file(const std::string& name) { return test::corpus_file("proxy/" + name + ".proxy"); }

class ProxyCorpus : public testing::TestWithParam<std::string> {};

TEST_P(ProxyCorpus, HasTheVerdictInItsName) {
  Reading reading = read(file(GetParam()));
  std::string verdict = GetParam().substr(0, GetParam().find('_'));
  std::map<std::string, Verdict> verdicts{{"ok", Verdict::Complete},
                                          {"none", Verdict::None},
                                          {"more", Verdict::NeedMore},
                                          {"bad", Verdict::Refused}};
  EXPECT_EQ(reading.verdict, verdicts.at(verdict)) << reading.refusal.rule;
  EXPECT_EQ(reading.refusal.status, verdict == "bad" ? 400 : 0);
}

TEST_P(ProxyCorpus, HasOneVerdictHoweverItIsCut) {
  std::string bytes = file(GetParam());
  Reading whole = read(bytes);
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    ASSERT_EQ(read_in_pieces(bytes, piece), whole) << "pieces of " << piece;
  }
}

INSTANTIATE_TEST_SUITE_P(Proxy, ProxyCorpus, testing::ValuesIn(test::corpus_names("proxy")),
                         [](const auto& test) { return test.param; });

TEST(ProxyProtocol, NamesTheClient) {
  for (auto [name, address, port] :
       {std::tuple("ok_v1_tcp4", "192.0.2.1", 56324), std::tuple("ok_v2_tcp4", "192.0.2.1", 56324),
        std::tuple("ok_v1_tcp6", "2001:db8::7", 4711), std::tuple("ok_v2_tlvs", "192.0.2.1", 56324),
        std::tuple("ok_v2_tcp6", "2001:db8::7", 4711)}) {
    Reading reading = read(file(name));
    EXPECT_EQ(reading.source.address, address) << name;
    EXPECT_EQ(reading.source.port, port) << name;
  }
}

TEST(ProxyProtocol, LeavesThePeerWhereNoClientIsNamed) {
  for (const char* name :
       {"ok_v1_unknown", "ok_v1_unknown_with_rest", "ok_v2_local", "ok_v2_local_with_addresses",
        "ok_v2_unspecified", "ok_v2_unix", "ok_v2_udp"}) {
    EXPECT_EQ(read(file(name)).source.address, "") << name;
  }
}

TEST(ProxyProtocol, TakesNothingOfTheRequestThatFollows) {
  for (const char* name : {"ok_v1_then_request", "ok_v2_then_request"}) {
    std::string bytes = file(name);
    EXPECT_TRUE(bytes.substr(read(bytes).used).starts_with("GET ")) << name;
  }
}

TEST(ProxyProtocol, WantsTheVersionThatIsConfigured) {
  EXPECT_EQ(read(file("ok_v1_tcp4"), ProxyMode::V1).verdict, Verdict::Complete);
  EXPECT_EQ(read(file("ok_v1_tcp4"), ProxyMode::V2).verdict, Verdict::Refused);
  EXPECT_EQ(read(file("ok_v2_tcp4"), ProxyMode::V2).verdict, Verdict::Complete);
  EXPECT_EQ(read(file("ok_v2_tcp4"), ProxyMode::V1).verdict, Verdict::Refused);
  EXPECT_EQ(read("G", ProxyMode::V1).refusal.rule, "PROXY header is missing (proxy_protocol)");
  EXPECT_EQ(read("G", ProxyMode::V2).verdict, Verdict::Refused);
}

TEST(ProxyProtocol, HasTheModesOfTheSetting) {
  EXPECT_EQ(proxy_mode("off"), ProxyMode::Off);
  EXPECT_EQ(proxy_mode("v1"), ProxyMode::V1);
  EXPECT_EQ(proxy_mode("v2"), ProxyMode::V2);
  EXPECT_EQ(proxy_mode("auto"), ProxyMode::Auto);
}

}  // namespace
}  // namespace appd::http
