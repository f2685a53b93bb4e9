// Callers in words, and what makes a revision one to go back to.
#include "supervisor/model/revision.h"

#include <gtest/gtest.h>

namespace appd::model {
namespace {

TEST(Caller, IsDescribedByWhatIsKnown) {
  EXPECT_EQ(describe({}), "an unknown user");
  EXPECT_EQ(describe({0, 42, "root", "appctl/1", "", ""}),
            "uid 0 pid 42 user root client appctl/1");
  EXPECT_EQ(describe({1000, 42, "", "", "", ""}), "uid 1000 pid 42");
  EXPECT_EQ(describe({{}, 0, "", "x/1", "token ci", "10.0.0.7:5"}),
            "token ci from 10.0.0.7:5 client x/1");
  EXPECT_EQ(describe({7, 42, "", "", "token ci", ""}), "token ci uid 7 pid 42");
}

TEST(Caller, WhatAClientSaysOfItselfIsMadeFitForALine) {
  EXPECT_EQ(client_text("appctl/1 grpc-c++/1.51.1"), "appctl/1 grpc-c++/1.51.1");
  EXPECT_EQ(client_text("a\nb\x7f\xff\x1b["), "a?b???[");
  EXPECT_EQ(client_text(std::string(1000, 'x')).size(), 200U);
}

TEST(Revision, IsGoodWhenItServedBecauseSomebodyAsked) {
  Revision revision;
  revision.method = "ScaleApp";
  EXPECT_FALSE(revision.good()) << "under way";
  revision.outcome = OperationPhase::Succeeded;
  EXPECT_TRUE(revision.good());
  revision.spec.run_mode = RunMode::Stopped;
  EXPECT_FALSE(revision.good()) << "nothing was proved";
  revision.spec.run_mode = RunMode::Running;
  revision.method.clear();
  EXPECT_FALSE(revision.good()) << "appd's own";
}

}  // namespace
}  // namespace appd::model
