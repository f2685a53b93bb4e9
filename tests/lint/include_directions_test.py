#!/usr/bin/python3
"""The include check itself: what is allowed passes, each kind of violation is caught."""

import tempfile
import unittest
from pathlib import Path

import include_directions


class IncludeDirections(unittest.TestCase):
    def check(self, files: dict[str, str]) -> list[str]:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            return [
                line for line in include_directions.check_tree(root) if not line.startswith("exception")
            ]

    def assert_caught(self, source: str, header: str, says: str, quote: str = '""') -> None:
        line = f"#include {quote[0]}{header}{quote[1]}\n"
        found = self.check({header: "", source: line} if quote == '""' else {source: line})
        self.assertEqual(len(found), 1, found)
        self.assertIn(says, found[0])

    def test_allowed_directions_pass(self) -> None:
        found = self.check(
            {
                "common/result.h": "#include <string>\n",
                "supervisor/model/spec.h": '#include "common/result.h"\n',
                "supervisor/core/plan.h": '#include "supervisor/model/spec.h"\n',
                "supervisor/store/store.cc": '#include <sqlite3.h>\n#include "supervisor/model/spec.h"\n',
                "supervisor/runtime/spawn.cc": '#include <spawn.h>\n#include "supervisor/core/plan.h"\n',
                "supervisor/api/apps.cc": "#include <grpcpp/grpcpp.h>\n#include <appd/v1/apps.grpc.pb.h>\n",
                "supervisor/main.cc": '#include <csignal>\n#include "supervisor/core/plan.h"\n',
                "worker/http/parser.cc": "#include <llhttp.h>\n#include <sys/socket.h>\n",
                "worker/gateway/wsgi.cc": "#include <Python.h>\n",
                "ctl/client.cc": '#include <grpcpp/grpcpp.h>\n#include "common/result.h"\n',
            }
        )
        self.assertEqual(found, [])

    def test_arrow_the_wrong_way_is_caught(self) -> None:
        self.assert_caught("common/a.h", "supervisor/model/b.h", "must not know supervisor/model")
        self.assert_caught("supervisor/model/a.h", "supervisor/core/b.h", "must not know supervisor/core")
        self.assert_caught("supervisor/core/a.cc", "supervisor/store/b.h", "must not know supervisor/store")
        self.assert_caught("supervisor/store/a.cc", "supervisor/core/b.h", "must not know supervisor/core")
        self.assert_caught("supervisor/runtime/a.cc", "supervisor/reconcile/b.h", "must not know supervisor/reconcile")
        self.assert_caught("supervisor/reconcile/a.cc", "supervisor/api/b.h", "must not know supervisor/api")
        self.assert_caught("supervisor/api/a.cc", "worker/http/b.h", "must not know worker/http")
        self.assert_caught("worker/http/a.cc", "worker/net/b.h", "must not know worker/net")
        self.assert_caught("worker/engine/a.cc", "worker/gateway/b.h", "must not know worker/gateway")
        self.assert_caught("worker/zygote/a.cc", "supervisor/model/b.h", "must not know supervisor/model")
        self.assert_caught("ctl/a.cc", "supervisor/model/b.h", "must not know supervisor/model")

    def test_foreign_header_in_the_wrong_folder_is_caught(self) -> None:
        angle = "<>"
        self.assert_caught("supervisor/core/a.cc", "sqlite3.h", "supervisor/store", angle)
        self.assert_caught("supervisor/reconcile/a.cc", "grpcpp/grpcpp.h", "gRPC stays", angle)
        self.assert_caught("ctl/render.cc", "grpcpp/grpcpp.h", "gRPC stays", angle)
        self.assert_caught("supervisor/model/a.cc", "google/protobuf/message.h", "protobuf stays", angle)
        self.assert_caught("worker/engine/a.cc", "Python.h", "Python.h starts", angle)
        self.assert_caught("worker/engine/a.cc", "llhttp.h", "llhttp stays", angle)
        self.assert_caught("supervisor/runtime/a.cc", "spdlog/spdlog.h", "functions return errors", angle)
        self.assert_caught("supervisor/api/a.cc", "sys/socket.h", "process and socket", angle)
        self.assert_caught("supervisor/main.cc", "sys/wait.h", "process and socket", angle)
        self.assert_caught("supervisor/api/a.cc", "signal.h", "signals belong", angle)

    def test_relative_path_is_caught(self) -> None:
        found = self.check({"ctl/a.h": "", "ctl/b.cc": '#include "a.h"\n'})
        self.assertEqual(len(found), 1, found)
        self.assertIn("path from the top", found[0])

    def test_missing_file_is_caught(self) -> None:
        found = self.check({"ctl/b.cc": '#include "ctl/gone.h"\n'})
        self.assertEqual(len(found), 1, found)
        self.assertIn("does not exist", found[0])

    def test_comments_are_no_includes(self) -> None:
        self.assertEqual(self.check({"common/a.h": "// #include <grpcpp/grpcpp.h>\n/*\n#include <Python.h>\n*/\n"}), [])


if __name__ == "__main__":
    unittest.main()
