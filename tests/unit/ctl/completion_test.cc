// Completion: a walk down the same tree as --help, with names from a fake appd.
#include "ctl/completion.h"

#include <gtest/gtest.h>

#include "ctl/manual.h"
#include "ctl/tree.h"

namespace appd::ctl {
namespace {

class Completing : public ::testing::Test {
 protected:
  Completing() : tree_("", "appctl") {
    build_tree(tree_, "unix:/run/x", globals_, action_, [](const Verb&) { return true; });
  }

  // What may come next, with blanks between; ":files" and the like in the end.
  std::string next(const std::vector<std::string>& words) {
    asked_.clear();
    const Completion found = complete(tree_, words, [this](NameKind kind, const std::string& app) {
      asked_ = std::to_string(static_cast<int>(kind)) + " " + app;
      return std::vector<Candidate>{{"one", "first"}, {"two", ""}};
    });
    std::string text;
    for (const Candidate& each : found.candidates) {
      text += (text.empty() ? "" : " ") + each.word;
    }
    if (found.files == Completion::Files::Files) text += ":files";
    if (found.files == Completion::Files::Directories) text += ":directories";
    return text;
  }
  std::string asked(NameKind kind, const std::string& app) {
    return std::to_string(static_cast<int>(kind)) + " " + app;
  }

  CLI::App tree_;
  Globals globals_;
  Action action_;
  std::string asked_;
};

TEST_F(Completing, VerbsComeFirst) {
  EXPECT_EQ(next({"re"}), "reload recycle requests reopen-logs restore");
  const std::string all = next({""});
  for (const Verb& verb : verbs()) EXPECT_NE(all.find(verb.name), std::string::npos) << verb.name;
  EXPECT_EQ(next({"nonsense", ""}), "");
  EXPECT_EQ(next({"--address", "unix:/x", "-o", "json", "relo"}), "reload");
}

TEST_F(Completing, FlagsAreTheVerbsAndThoseOfEveryVerb) {
  EXPECT_EQ(next({"scale", "web", "--worker"}), "--workers --worker-class --worker-connections");
  EXPECT_EQ(next({"scale", "web", "--out"}), "--output");
  EXPECT_EQ(next({"--addr"}), "--address");
  EXPECT_EQ(next({"reload", "--", "--no"}), "") << "behind -- there are only arguments";
}

TEST_F(Completing, NamesAreAskedForWhereTheyGo) {
  EXPECT_EQ(next({"reload", ""}), "one two");
  EXPECT_EQ(asked_, asked(NameKind::App, ""));
  EXPECT_EQ(next({"reload", "t"}), "two");
  EXPECT_EQ(next({"scale", "--workers", "3", "o"}), "one") << "3 is the value of a flag";
  EXPECT_EQ(next({"recycle", "apps/web", ""}), "one two");
  EXPECT_EQ(asked_, asked(NameKind::Worker, "web"));
  next({"wait", ""});
  EXPECT_EQ(asked_, asked(NameKind::Operation, ""));
  next({"rollback", "web", "--to", ""});
  EXPECT_EQ(asked_, asked(NameKind::Revision, "web"));
  next({"set", "web", "--unset-env", ""});
  EXPECT_EQ(asked_, asked(NameKind::Variable, "web"));
  next({"--context", ""});
  EXPECT_EQ(asked_, asked(NameKind::Context, ""));
  next({"context", "use", ""});
  EXPECT_EQ(asked_, asked(NameKind::Context, ""));
  EXPECT_EQ(next({"create", ""}), "") << "a new name is nobody's yet";
  EXPECT_EQ(next({"context", "add", ""}), "");
  EXPECT_EQ(next({"reload", "web", ""}), "") << "there is no second argument";
  EXPECT_EQ(asked_, "");
}

TEST_F(Completing, ValuesAreChoicesFilesOrNothing) {
  EXPECT_EQ(next({"create", "web", "--preload", ""}), "auto on off");
  EXPECT_EQ(next({"create", "web", "--preload=o"}), "--preload=on --preload=off");
  EXPECT_EQ(next({"create", "web", "--worker-class", "g"}), "gthread gevent");
  EXPECT_EQ(next({"create", "web", "--directory", ""}), ":directories");
  EXPECT_EQ(next({"create", "web", "--python", ""}), ":files");
  EXPECT_EQ(next({"apply", "-f", ""}), ":files");
  EXPECT_EQ(next({"upgrade", "--binary", ""}), ":files");
  EXPECT_EQ(next({"create", "web", "--workers", ""}), "");
  EXPECT_EQ(next({"set", "web", "--reset", "keep"}), "keepalive");
  EXPECT_EQ(next({"get", "web", "-o", ""}), "text json");
  EXPECT_EQ(next({"completion", ""}), "bash zsh fish");
  EXPECT_EQ(next({"context", ""}), "add use list remove");
}

TEST_F(Completing, EveryFlagOfEveryVerbIsOffered) {
  for (const Verb& verb : verbs()) {
    const std::string offered = " " + next({verb.name, "-"}) + " ";
    for (const CLI::Option* option : find_verb(tree_, verb.name)->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        EXPECT_NE(offered.find(" --" + name + " "), std::string::npos) << verb.name << name;
      }
    }
  }
}

TEST(CompletionLines, HaveTheWordTheRestAndWhatTheShellAddsItself) {
  EXPECT_EQ(completion_lines({{{"a", "first"}, {"b", ""}}, Completion::Files::Files}),
            "a\tfirst\nb\n:files\n");
  EXPECT_FALSE(completion_script("tcsh"));
}

TEST_F(Completing, ManualsNameEveryVerbAndEveryFlag) {
  const std::string page = manual(tree_);
  for (const Verb& verb : verbs()) {
    std::string name = verb.name;
    for (std::size_t at = name.find('-'); at != std::string::npos; at = name.find('-', at + 2)) {
      name.insert(at, "\\");
    }
    EXPECT_NE(page.find("appctl " + name + "\\fR"), std::string::npos) << name;
    const std::string own = manual_of_verb(tree_, *find_verb(tree_, verb.name), verb.example);
    EXPECT_NE(own.find(".SH NAME\nappctl\\-" + name + " \\- "), std::string::npos) << own;
  }
  const std::string scale = manual_of_verb(tree_, *find_verb(tree_, "scale"), "appctl scale");
  EXPECT_NE(scale.find(".TP\n\\fB\\-\\-workers\\fR \\fIN\\fR\nworker processes"), std::string::npos)
      << scale;
}

}  // namespace
}  // namespace appd::ctl
