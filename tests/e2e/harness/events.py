"""Follows what happens, as `appctl events -f` tells it."""

import json
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from harness.appd import Appd
from harness.paths import APPCTL
from harness.waiting import wait_until


class Events:
    """Follows `appctl events -f -o json` in the background."""

    def __init__(self, appd: Appd, *arguments: str) -> None:
        self.seen: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [str(APPCTL), "--address", appd.address, "events", *arguments, "-f", "-o", "json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        self.wait_for(lambda event: "synced" in event, "the present state")

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.seen.append(json.loads(line))

    def wait_for(self, condition: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        return wait_until(lambda: next((event for event in list(self.seen) if condition(event)), None), what)

    def close(self) -> None:
        self._process.terminate()
        self._thread.join()
        self._process.wait()


def exit_of(pid: int) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event.get("worker", {}).get("pid") == pid and event["worker"]["state"] == "EXITED"
