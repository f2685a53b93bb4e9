// The JSON of specs and failures, and the words of the enumerations.
#include "supervisor/store/codec.h"

#include "tests/unit/supervisor/store/store_fixture.h"

namespace appd::store {
namespace {

TEST(Codec, SpecRoundTripsWithEveryFieldOffItsDefault) {
  const auto json = encode_spec(full_spec());
  ASSERT_TRUE(json) << json.error().message;
  const auto spec = decode_spec(*json);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(*spec, full_spec());
}

TEST(Codec, AbsentKeysTakeTheirDefaults) {
  const auto spec = decode_spec("{}");
  ASSERT_TRUE(spec);
  EXPECT_EQ(*spec, model::AppSpec{});
}

TEST(Codec, RefusesWhatItNeverWrites) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "is not a JSON object"},
      {"[]", "is not a JSON object"},
      {"{\"workers\":1", "is not a JSON object"},
      {"{\"wrokers\":1}", "unknown key \"wrokers\""},
      {"{\"workers\":\"1\"}", "workers: is not a 64-bit integer"},
      {"{\"workers\":1.5}", "workers: is not a 64-bit integer"},
      {"{\"workers\":4294967296}", "workers: is not a 32-bit integer"},
      {"{\"limit_request_body\":18446744073709551615}",
       "limit_request_body: is not a 64-bit integer"},
      {"{\"app\":7}", "app: is not a string"},
      {"{\"bind\":\"x\"}", "bind: is not a list"},
      {"{\"bind\":[1]}", "bind: is not a string"},
      {"{\"env\":[]}", "env: is not an object"},
      {"{\"env\":{\"A\":null}}", "env: is not a string"},
      {"{\"preload\":\"maybe\"}", "preload: unknown word \"maybe\""},
      {"{\"access_log\":1}", "access_log: is not a truth value"},
      {"{\"max_error_rate\":\"1\"}", "max_error_rate: is not a number"},
      {"{\"timeout_ms\":true}", "timeout_ms: is not a 64-bit integer"},
  };
  for (const auto& [json, words] : cases) {
    const auto spec = decode_spec(json);
    ASSERT_FALSE(spec) << json;
    EXPECT_NE(spec.error().message.find(words), std::string::npos)
        << json << ": " << spec.error().message;
  }
}

TEST(Codec, CertificatesOfDeathRoundTripWithAndWithoutWhatMayBeMissing) {
  model::Death full = death("web", 5);
  const auto json = encode_death(full);
  ASSERT_TRUE(json);
  const auto again = decode_death(*json);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, full);
  const auto bare = decode_death(*encode_death(model::Death{}));
  ASSERT_TRUE(bare) << bare.error().message;
  EXPECT_EQ(*bare, model::Death{});
  EXPECT_FALSE(decode_death(R"({"figures":{"in_hand":[7]}})"));
}

TEST(Codec, TextThatIsNotUtf8IsAnErrorAndNoException) {
  model::AppSpec spec = full_spec();
  spec.directory = "/\xff";
  EXPECT_FALSE(encode_spec(spec));
}

TEST(Codec, EveryWordOfAnEnumerationRoundTrips) {
  for (int i = 0; i <= static_cast<int>(model::OperationPhase::Cancelled); ++i) {
    const auto phase = static_cast<model::OperationPhase>(i);
    const auto again = decode_phase(encode_phase(phase));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, phase);
  }
  for (int i = 0; i <= static_cast<int>(model::OperationKind::Rollback); ++i) {
    const auto kind = static_cast<model::OperationKind>(i);
    const auto again = decode_kind(encode_kind(kind));
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, kind);
  }
  for (int i = 0; i <= static_cast<int>(model::FailureCause::RunOnceFailed); ++i) {
    const model::Failure failure{static_cast<model::FailureCause>(i), "m", "t", 2, at(0)};
    const auto again = decode_failure(*encode_failure(failure));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->cause, failure.cause);
    EXPECT_EQ(again->time, failure.time);
    EXPECT_EQ(*decode_cause(encode_cause(failure.cause)), failure.cause);
  }
  for (int i = 0; i <= static_cast<int>(model::DeathCause::Unknown); ++i) {
    model::Death one = death("web", 1);
    one.cause = static_cast<model::DeathCause>(i);
    EXPECT_EQ(*decode_death(*encode_death(one)), one);
  }
  EXPECT_FALSE(decode_phase("asleep"));
  EXPECT_FALSE(decode_kind(""));
  EXPECT_FALSE(decode_cause("bad_luck"));
}

}  // namespace
}  // namespace appd::store
