#!/usr/bin/python3
"""The comparison itself: what breaks clients is told from what does not, with what to do."""

import tempfile
import unittest
from pathlib import Path

import proto_snapshot
from proto_snapshot import Difference

BEFORE = """syntax = "proto3";
package appd.v1;
service Apps {
  rpc GetApp(GetAppRequest) returns (App);
  rpc Watch(GetAppRequest) returns (stream App);
}
message GetAppRequest { string name = 1; }
message App {
  enum State {
    STATE_UNSPECIFIED = 0;
    ACTIVE = 1;
    STOPPED = 2;
  }
  reserved 9;
  reserved "colour";
  string name = 1;
  State state = 2;
  repeated string bind = 3;
  map<string, string> env = 4;
  optional int32 workers = 5;
  oneof event {
    string note = 6;
    App child = 7;
  }
}
"""


class ProtoSnapshot(unittest.TestCase):
    def describe(self, text: str, name: str = "a.proto"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "appd/v1" / name
            file.parent.mkdir(parents=True)
            file.write_text(text, encoding="utf-8")
            return proto_snapshot.describe(Path(folder))

    def compare(self, old: str, new: str) -> Difference:
        self.assertIn(old, BEFORE)
        return proto_snapshot.compare(self.describe(BEFORE), self.describe(BEFORE.replace(old, new)))

    def assert_breaks(self, old: str, new: str, *says: str) -> None:
        difference = self.compare(old, new)
        self.assertEqual(len(difference.breaks), 1, difference)
        for text in says:
            self.assertIn(text, difference.breaks[0])

    def assert_adds(self, old: str, new: str, says: str) -> None:
        self.assertEqual(self.compare(old, new), Difference([], [says]))

    def test_the_same_is_no_difference(self) -> None:
        self.assertTrue(self.compare("package", "// A comment.\npackage").none)

    def test_the_order_in_the_file_is_no_difference(self) -> None:
        for old, new in {
            "    ACTIVE = 1;\n    STOPPED = 2;": "    STOPPED = 2;\n    ACTIVE = 1;",
            "  string name = 1;\n  State state = 2;": "  State state = 2;\n  string name = 1;",
        }.items():
            self.assertIn(old, BEFORE)
            self.assertEqual(self.describe(BEFORE), self.describe(BEFORE.replace(old, new)))

    def test_a_field_is_renamed(self) -> None:
        says = ("App.bind = 3 was renamed", "listen", "take that back")
        self.assert_breaks("string bind = 3", "string listen = 3", *says)

    def test_a_field_is_renumbered(self) -> None:
        self.assert_breaks("string bind = 3", "string bind = 8", "renumbered to 8")

    def test_a_field_is_retyped(self) -> None:
        for old, new in {
            "string name = 1;\n  State": "bytes name = 1;\n  State",
            "State state = 2": "int32 state = 2",
            "repeated string bind": "string bind",
            "map<string, string>": "map<string, int32>",
            "App child": "GetAppRequest child",
            "optional int32 workers": "int32 workers",
            "optional int32": "optional int64",
        }.items():
            with self.subTest(new):
                self.assert_breaks(old, new, "was \"", "another name")

    def test_a_field_moves_out_of_its_oneof(self) -> None:
        both, one = "    string note = 6;\n    App child = 7;\n  }", "    App child = 7;\n  }\n  string note = 6;"
        self.assert_breaks(both, one, "in oneof event")

    def test_a_field_is_removed(self) -> None:
        what_to_do = 'add `reserved 3; reserved "bind";` to message appd.v1.App'
        self.assert_breaks("  repeated string bind = 3;\n", "", what_to_do)
        self.assert_breaks("  repeated string bind = 3;\n", "  reserved 3;\n", "was removed")
        self.assert_adds(
            "  repeated string bind = 3;\n",
            '  reserved 3;\n  reserved "bind";\n',
            "field appd.v1.App.bind = 3 was removed, and is reserved",
        )

    def test_a_value_changes(self) -> None:
        self.assert_breaks("STOPPED = 2", "HALTED = 2", "State.STOPPED = 2 was renamed")
        self.assert_breaks("STOPPED = 2", "STOPPED = 3", "renumbered to 3")
        self.assert_breaks("    STOPPED = 2;\n", "", 'add `reserved 2; reserved "STOPPED";` to enum appd.v1.App.State')
        self.assert_adds(
            "    STOPPED = 2;\n",
            '    reserved 2;\n    reserved "STOPPED";\n',
            "value appd.v1.App.State.STOPPED = 2 was removed, and is reserved",
        )

    def test_what_was_reserved_stays_so(self) -> None:
        self.assert_breaks("  reserved 9;\n", "", "`reserved 9` is gone")
        self.assert_breaks('  reserved "colour";\n', "", '`reserved "colour"` is gone')
        self.assertEqual(self.compare("reserved 9;", "reserved 8 to 10;").breaks, [])

    def test_a_method_changes(self) -> None:
        self.assert_breaks("rpc GetApp(", "rpc FetchApp(", "method appd.v1.Apps.GetApp is gone")
        self.assert_breaks("Watch(GetAppRequest) returns (stream App)", "Watch(GetAppRequest) returns (App)", "stream")
        self.assert_breaks("GetApp(GetAppRequest)", "GetApp(App)", "another name")

    def test_messages_services_packages_and_files_stay(self) -> None:
        self.assert_breaks("service Apps", "service Programs", "service appd.v1.Apps is gone")
        self.assert_breaks("package appd.v1", "package appd.v2", "a new version of the API")
        gone = proto_snapshot.compare(self.describe(BEFORE), self.describe(BEFORE, "b.proto"))
        self.assertIn("a.proto is gone", gone.breaks[0])
        moved = self.compare("  enum State {", "  message Inner {}\n  enum State {")
        self.assertEqual(moved, Difference([], ["message appd.v1.App.Inner is new"]))

    def test_additions_break_nothing(self) -> None:
        field = ("string name = 1; }", "string name = 1; bool full = 2; }")
        self.assert_adds(*field, "field appd.v1.GetAppRequest.full is new")
        self.assert_adds("STOPPED = 2;", "STOPPED = 2; FAILING = 3;", "value appd.v1.App.State.FAILING is new")
        self.assert_adds("service Apps {", "message Fresh {}\nservice Apps {", "message appd.v1.Fresh is new")
        self.assert_adds("service Apps {", "enum Fresh { ZERO = 0; }\nservice Apps {", "enum appd.v1.Fresh is new")
        self.assert_adds(
            "  rpc Watch", "  rpc ListApps(App) returns (App);\n  rpc Watch", "method appd.v1.Apps.ListApps is new"
        )

    def test_a_snapshot_reads_back_as_it_was_written(self) -> None:
        described = self.describe(BEFORE)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "snapshot.txtpb"
            proto_snapshot.write(path, described)
            self.assertEqual(proto_snapshot.read(path), described)


if __name__ == "__main__":
    unittest.main()
