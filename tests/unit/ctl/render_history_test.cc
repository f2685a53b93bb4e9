// The history as people read it: whole texts, so that a change of the look is seen in a review.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "ctl/render.h"

namespace appd::ctl {
namespace {

class RenderHistory : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }

  // A revision of alice's that succeeded; the newest comes first.
  v1::Revision& add(const std::string& method, std::int32_t workers) {
    v1::ListRevisionsResponse older = std::move(history);
    history.Clear();
    v1::Revision& next = *history.add_revisions();
    next.set_number(older.revisions_size() + 1);
    next.set_method(method);
    next.set_rollout(1);
    next.mutable_spec()->set_workers(workers);
    next.mutable_create_time()->set_seconds(1'700'000'000 + next.number());
    next.mutable_caller()->set_uid(1000);
    next.mutable_caller()->set_user("alice");
    next.mutable_caller()->set_client("appctl/1.2 grpc-c++/1.51.1 (linux; chttp2)");
    next.set_outcome(v1::Operation::SUCCEEDED);
    history.mutable_revisions()->MergeFrom(older.revisions());
    return *history.mutable_revisions(0);
  }
  static void set_variable(v1::Revision& revision, const std::string& name, std::int64_t since) {
    (*revision.mutable_spec()->mutable_env())[name] = "";
    (*revision.mutable_env_since())[name] = since;
  }
  std::string newest_change() const {
    return change_text(history.revisions(0),
                       history.revisions_size() > 1 ? &history.revisions(1) : nullptr);
  }

  v1::ListRevisionsResponse history;
};

TEST_F(RenderHistory, TellsWhoWhenFromWhereWhatWhyAndHowItEnded) {
  add("CreateApp", 4);
  add("ScaleApp", 17).set_reason("sale");
  v1::Revision& reload = add("ReloadApp", 17);
  reload.set_outcome(v1::Operation::ROLLED_BACK);
  reload.set_cause(v1::Failure::IMPORT_FAILED);
  reload.set_outcome_message("SyntaxError: x");
  EXPECT_EQ(render_history(history, {}),
            "REV  WHEN                 WHO    CLIENT      CHANGE          WHY   ENDED\n"
            "  3  2023-11-14 22:13:23  alice  appctl/1.2  reloaded        -     rolled back "
            "(import failed): SyntaxError: x\n"
            "  2  2023-11-14 22:13:22  alice  appctl/1.2  workers 4 → 17  sale  succeeded\n"
            "  1  2023-11-14 22:13:21  alice  appctl/1.2  created         -     succeeded\n");
}

TEST_F(RenderHistory, SaysWhoHasCancelledAndWhatWasTakenBack) {
  add("CreateApp", 4);
  v1::Revision& cancelled = add("UpdateApp", 17);
  cancelled.set_outcome(v1::Operation::CANCELLED);
  cancelled.set_outcome_message("cancelled by alice: too many");
  v1::Revision& back = add("", 4);
  back.set_restores(1);
  back.set_reason("cancelled by alice: too many");
  const std::string shown = render_history(history, {});
  EXPECT_NE(shown.find("  cancelled by alice: too many\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("alice  appctl/1.2  taken back to 1: workers 17 → 4"), std::string::npos)
      << shown;
}

TEST_F(RenderHistory, FitsANarrowTerminalAndColoursOnlyWhereAllowed) {
  add("CreateApp", 4);
  v1::Revision& long_one = add("UpdateApp", 17);
  long_one.mutable_spec()->set_directory("/srv/" + std::string(200, 'x'));
  long_one.set_reason(std::string(200, 'y'));
  long_one.set_outcome(v1::Operation::FAILED);
  long_one.set_outcome_message(std::string(200, 'z'));
  const std::string narrow = render_history(history, {80, false});
  for (std::size_t begin = 0; begin < narrow.size();) {
    const std::size_t end = narrow.find('\n', begin);
    EXPECT_LE(display_width(std::string_view(narrow).substr(begin, end - begin)), 80U) << narrow;
    begin = end + 1;
  }
  EXPECT_NE(narrow.find("  2  11-14 22:13  alice  "), std::string::npos) << narrow;
  EXPECT_EQ(narrow.find('\x1b'), std::string::npos);
  EXPECT_NE(render_history(history, {80, true}).find("\x1b[31m"), std::string::npos);
}

TEST_F(RenderHistory, WhatCameFromElsewhereCannotDriveTheTerminal) {
  add("CreateApp", 4).set_reason("\x1b[2J");
  history.mutable_revisions(0)->mutable_caller()->set_client("\x1b]0;x");
  const std::string text = render_history(history, {});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST_F(RenderHistory, NamesNobodyWhereNobodyCalled) {
  v1::Revision& kept = add("UpdateApp", 4);  // of an appd that had no history
  kept.clear_caller();
  v1::Revision& nameless = add("ScaleApp", 5);
  nameless.mutable_caller()->clear_user();
  v1::Revision& own = add("", 4);
  own.clear_caller();
  const std::string text = render_history(history, {});
  EXPECT_NE(text.find("appd      -"), std::string::npos) << text;
  EXPECT_NE(text.find("uid 1000  appctl/1.2"), std::string::npos) << text;
  EXPECT_NE(text.find("-         -"), std::string::npos) << text;
}

TEST_F(RenderHistory, SaysWhereAChangeStandsThatIsUnderWay) {
  add("ReloadApp", 4).set_outcome(v1::Operation::WARMING);
  EXPECT_NE(render_history(history, {}).find("under way: warming\n"), std::string::npos);
}

TEST_F(RenderHistory, WordsOfEachKindOfChange) {
  v1::Revision& kept = add("UpdateApp", 4);
  EXPECT_EQ(newest_change(), "created");
  kept.clear_caller();
  EXPECT_EQ(newest_change(), "the first that is kept");
  v1::Revision& set = add("UpdateApp", 4);
  set.mutable_spec()->set_threads(8);
  set.mutable_spec()->set_directory("/srv");
  EXPECT_EQ(newest_change(), "directory none → /srv, threads 1 → 8");
  v1::Revision& back = add("RollbackApp", 4);
  back.set_restores(1);
  EXPECT_EQ(newest_change(), "rolled back to 1: directory /srv → none, threads 8 → 1");
  add("", 4).set_restores(3);
  EXPECT_EQ(newest_change(), "taken back to 3");
  add("ReloadApp", 4);
  EXPECT_EQ(newest_change(), "reloaded");
  add("RestoreState", 4);
  EXPECT_EQ(newest_change(), "restored from a backup");
  add("ScaleApp", 5).set_number(9);
  EXPECT_EQ(newest_change(), "since 6: workers 4 → 5");
}

TEST_F(RenderHistory, VariablesAreNamedAndTheirValuesAreNot) {
  v1::Revision& first = add("CreateApp", 4);
  set_variable(first, "TOKEN", 1);
  set_variable(first, "GONE", 1);
  v1::Revision& next = add("UpdateApp", 4);
  set_variable(next, "TOKEN", 2);
  set_variable(next, "NEW", 2);
  EXPECT_EQ(newest_change(), "env.NEW added, env.TOKEN changed, env.GONE removed");
  EXPECT_EQ(render_revision_diff("web", history.revisions(1), history.revisions(0), {}),
            "web: revision 1 → 2\n  + env.NEW\n  ~ env.TOKEN: changed\n  - env.GONE\n");
  set_variable(add("ReloadApp", 4), "TOKEN", 2);
  set_variable(*history.mutable_revisions(0), "NEW", 2);
  EXPECT_EQ(newest_change(), "reloaded");
}

TEST_F(RenderHistory, DiffNamesTheRevisionsAndTheirRolloutsWhereThoseDiffer) {
  add("CreateApp", 4);
  add("ReloadApp", 4).set_rollout(2);
  EXPECT_EQ(render_revision_diff("web", history.revisions(1), history.revisions(0), {}),
            "web: revision 1 (rollout 1) → 2 (rollout 2)\n  no setting differs\n");
}

}  // namespace
}  // namespace appd::ctl
