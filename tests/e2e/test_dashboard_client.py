"""examples/dashboard-client: it follows what happens, figures included, and lives through the death of appd."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import http
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.foreign import STUBS
from harness.load import Load
from harness.paths import EXAMPLES, PYTHON
from harness.waiting import wait_until


class Dashboard:
    """What it prints; `table` is the last whole one."""

    def __init__(self, appd: Appd) -> None:
        self._process = subprocess.Popen(
            [PYTHON, str(EXAMPLES / "dashboard-client/dashboard.py"), appd.address],
            env={**os.environ, "PYTHONPATH": str(STUBS)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.table = ""
        self.said = ""
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._listen)]
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        lines: list[str] = []
        for line in self._process.stdout:
            if line != "\n":
                lines.append(line)
                continue
            self.table, lines = "".join(lines), []

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said += line

    def wait_for(self, pattern: str) -> str:
        def shown() -> str:
            table = self.table
            return table if re.search(pattern, table, re.MULTILINE) else ""

        return wait_until(shown, f"{pattern} on the dashboard", 30)

    def pids(self) -> set[int]:
        return {int(pid) for pid in re.findall(r"\(pid (\d+)\) +READY", self.table)}

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def dashboard(appd: Appd) -> Iterator[Dashboard]:
    made = Dashboard(appd)
    yield made
    made.close()


def test_it_shows_what_is_what_changes_and_the_figures(
    appd: Appd, dashboard: Dashboard, port: int, tmp_path: Path
) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    dashboard.wait_for(r"^web +ACTIVE +2/2 +sync +1 ")
    wait_until(lambda: dashboard.pids() == appd.ready_pids("web"), "it shows the workers")
    appd.ok("scale", "web", "--workers", "3")
    dashboard.wait_for(r"^web +ACTIVE +3/3 ")
    with Load(f"http://127.0.0.1:{port}/", connections=4, options=("--think", "2")):
        dashboard.wait_for(r"^web +ACTIVE .* [1-9]\d* +[\d.]+ ms +[\d.]+ ms$")
    appd.ok("delete", "web")
    wait_until(lambda: "web" not in dashboard.table, "the app has gone from it")
    assert dashboard.said == ""


def test_it_survives_the_death_of_appd_and_shows_what_happens_after_it(
    appd: Appd, dashboard: Dashboard, port: int, tmp_path: Path
) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    dashboard.wait_for(r"^web +ACTIVE +2/2 ")
    before = appd.ready_pids("web")
    appd.kill9()
    assert http.request(port).text == "hello"
    appd.start()
    appd.ok("scale", "web", "--workers", "4")
    dashboard.wait_for(r"^web +ACTIVE +4/4 ")
    wait_until(lambda: dashboard.pids() == appd.ready_pids("web"), "it shows the workers")
    assert before < dashboard.pids(), "those that were there are the same"
    # It came back with the revision that it had, and was told that this appd does not have it.
    assert re.fullmatch(r"dashboard: appd no longer has revision [1-9]\d+: beginning anew\n", dashboard.said)
    with Load(f"http://127.0.0.1:{port}/", connections=4, options=("--think", "2")):
        dashboard.wait_for(r"^web +ACTIVE .* [1-9]\d* +[\d.]+ ms +[\d.]+ ms$")
