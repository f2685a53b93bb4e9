"""The load client (tests/load) as a context manager: it runs while the test changes things."""

import json
import subprocess
from types import TracebackType
from typing import Any

from harness.paths import LOADGEN

END_TIMEOUT = 40.0


class Load:
    """Keeps a server under load from the first answer on every connection until the end of the block;
    `report` then says what became of every request."""

    def __init__(self, *urls: str, connections: int = 64, options: tuple[str, ...] = ()) -> None:
        self._command = [str(LOADGEN), "--json", "--control", "--connections", str(connections)]
        self._command += ["--require-number", "--collect", "X-Worker-Pid", *options, *urls]
        self.report: dict[str, Any] = {}

    def __enter__(self) -> "Load":
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        if "every connection has had an answer" not in line:
            self._process.kill()
            raise AssertionError(f"the load did not start: {line}{self._process.communicate()}")
        return self

    def snapshot(self) -> dict[str, Any]:
        """The counts up to now."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            output, _ = self._process.communicate(timeout=END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        self.report = json.loads(output.splitlines()[-1])

    def assert_nothing_lost(self, at_least: int = 100) -> None:
        """Every request was answered as it should be, and there were enough of them to mean something."""
        assert self.report["failed"] == 0, json.dumps(self.report, indent=1)
        assert self.report["ok"] >= at_least, json.dumps(self.report, indent=1)
