// Escaping, widths, tables, suggestions.
#include "ctl/text.h"

#include <gtest/gtest.h>

#include <array>

namespace appd::ctl {
namespace {

TEST(Escape, MakesWhatDrivesATerminalVisible) {
  EXPECT_EQ(escape_line("\x1b[2J\x07 a\tb\r\n"), "\\x1b[2J\\x07 a\\tb\\r\\n");
  EXPECT_EQ(escape_line("\x7f"), "\\x7f");
}

TEST(Escape, KnowsC1ControlsAndDirectionOverrides) {
  EXPECT_EQ(escape_line("\u009b31m"), "\\x9b31m");
  EXPECT_EQ(escape_line("a\u202eb\u2066c\u2028d"), "a\\u202eb\\u2066c\\u2028d");
}

TEST(Escape, LeavesPrintableTextAlone) { EXPECT_EQ(escape_line("größe → 日本"), "größe → 日本"); }

TEST(Escape, ShowsBrokenUtf8AsBytes) {
  EXPECT_EQ(escape_line("a\xff"
                        "b\x80"),
            "a\\xffb\\x80");
}

TEST(Escape, BlockKeepsNewlinesAndTabsOnly) {
  EXPECT_EQ(escape_block("a\n\tb\x1b[0m\r"), "a\n\tb\\x1b[0m\\r");
}

TEST(Truncate, CountsCodePointsAndMarksTheCut) {
  EXPECT_EQ(truncate("größe", 5), "größe");
  EXPECT_EQ(truncate("größen", 5), "größ…");
  EXPECT_EQ(truncate("abc", 0), "");
}

TEST(Indent, PrefixesEveryLineAndEndsWithANewline) {
  EXPECT_EQ(indent("a\nb", "  "), "  a\n  b\n");
  EXPECT_EQ(indent("a\n", "  "), "  a\n");
  EXPECT_EQ(indent("", "  "), "");
}

TEST(Closest, FindsWhatWasMeantAndNothingElse) {
  const auto names = std::to_array<std::string_view>({"workers", "worker_class", "timeout"});
  EXPECT_EQ(closest("worker", names), "workers");
  EXPECT_EQ(closest("timoeut", names), "timeout");
  EXPECT_EQ(closest("umbrella", names), "");
}

Table two_rows() {
  Table table({{"NAME"}, {"N", Column::Align::Right}, {"PATH", Column::Align::Left, true}});
  table.add({{"web"}, {"17"}, {"/srv/a/very/long/path"}});
  table.add({{"api"}, {"3"}, {"/srv"}});
  return table;
}

TEST(Table, AlignsColumnsAndNumbersToTheRight) {
  EXPECT_EQ(two_rows().render({}),
            "NAME   N  PATH\n"
            "web   17  /srv/a/very/long/path\n"
            "api    3  /srv\n");
}

TEST(Table, CutsFlexibleColumnsOnANarrowTerminal) {
  EXPECT_EQ(two_rows().render({20, false}),
            "NAME   N  PATH\n"
            "web   17  /srv/a/ve…\n"
            "api    3  /srv\n");
}

TEST(Table, NeverCutsBelowWhatCanBeRead) {
  EXPECT_EQ(two_rows().render({5, false}),
            "NAME   N  PATH\n"
            "web   17  /srv/a/…\n"
            "api    3  /srv\n");
}

TEST(Table, LeavesOutWhatCanBeSparedRatherThanCutTheRestToNothing) {
  Table table({{"NAME"},
               {"A", Column::Align::Left, false, 1},
               {"B", Column::Align::Left, false, 2},
               {"PATH", Column::Align::Left, true}});
  table.add({{"web"}, {"aaaa"}, {"bbbb"}, {"/srv/some/long/path/of/it"}});
  const auto headers = [&](int width) {
    const std::string text = table.render({width, false});
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(headers(0), "NAME  A     B     PATH");
  EXPECT_EQ(headers(40), "NAME  A     B     PATH") << "the path is cut";
  EXPECT_EQ(headers(30), "NAME  A     PATH");
  EXPECT_EQ(headers(24), "NAME  PATH");
  EXPECT_EQ(headers(1), "NAME  PATH") << "these cannot be spared";
}

TEST(Table, EscapesCellsSoThatNoRowCanBeForged) {
  Table table({{"A"}, {"B"}});
  table.add({{"x\ny"}, {"\x1b[31m"}});
  EXPECT_EQ(table.render({}), "A     B\nx\\ny  \\x1b[31m\n");
}

TEST(Table, PaintsOnlyWhereColourIsWanted) {
  Table table({{"A"}});
  table.add({{"up", Colour::Green}});
  EXPECT_EQ(table.render({0, true}), "\x1b[1mA\x1b[0m\n\x1b[32mup\x1b[0m\n");
  EXPECT_EQ(table.render({0, false}), "A\nup\n");
}

}  // namespace
}  // namespace appd::ctl
