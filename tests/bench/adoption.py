"""appd is killed with SIGKILL and started again at once: how long until it has all of its workers in hand again?"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from common import Report, free_port, processes, running_appd, wait_until
from harness.appd import Appd
from harness.apps import write_app

APPS, WORKERS, ROUNDS = 20, 5, 9
ALL = APPS * WORKERS


def make_apps(appd: Appd, folder: Path) -> None:
    code = write_app(folder / "app")
    tables = (
        f'[apps.app{number}]\ndirectory = "{code}"\napp = "wsgi:app"\nbind = ["127.0.0.1:{free_port()}"]\nworkers = {WORKERS}\n'
        for number in range(APPS)
    )
    manifest = folder / "apps.toml"
    manifest.write_text("".join(tables))
    appd.ok("apply", "-f", str(manifest))


def accepting(appd: Appd) -> set[int]:
    """Pids of all workers that appd says accept; none while it does not answer."""
    answer = appd.ctl("status", "-o", "json", timeout=30)
    return {one["pid"] for one in answer.json["workers"] if one["state"] == "READY"} if answer.exit == 0 else set()


def one_round(appd: Appd, log: int) -> tuple[float, float, float]:
    """Milliseconds from the kill until appd says "ready", until appctl has an answer, and until that has all workers."""
    before = accepting(appd)
    assert len(before) == ALL
    written = os.fstat(log).st_size
    begin = time.monotonic()
    appd.kill9()
    appd.process = subprocess.Popen(appd.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def says_ready() -> bool:
        return b" ready version=" in os.pread(log, 1 << 20, written)

    while not says_ready():
        assert appd.process.poll() is None, appd.log()
    ready = time.monotonic() - begin
    answered = 0.0
    while (now := accepting(appd)) != before:
        if now and not answered:
            answered = time.monotonic() - begin
        assert time.monotonic() - begin < 60, f"only {len(now & before)} of them, and {len(now - before)} others"
    complete = time.monotonic() - begin
    wait_until(lambda: len(processes.descendants(os.getpid())) == ALL + APPS + 1, "no process more", 10)
    return ready * 1000, (answered or complete) * 1000, complete * 1000


def main() -> None:
    report = Report(
        "adoption",
        f"{APPS} apps with {WORKERS} workers each; kill -9 of appd and a start at once; medians of {ROUNDS} rounds, all from the kill on; "
        "the end is an appctl, a process of its own, that has been shown every worker, with its former pid, as accepting",
        ["until", "median ms", "worst ms"],
    )
    with tempfile.TemporaryDirectory(prefix="appd-bench-") as folder, running_appd(core=None) as appd:
        make_apps(appd, Path(folder))
        with appd.log_path.open("r+b") as log:
            os.lseek(log.fileno(), 0, os.SEEK_END)
            rounds = [one_round(appd, log.fileno()) for _ in range(ROUNDS)]
    for what, times in zip(("appd has adopted and listens", "appctl has an answer", "it has all workers"), zip(*rounds)):
        report.row(what, f"{statistics.median(times):.1f}", f"{max(times):.1f}")
        report.figures[what] = times
    complete = statistics.median(times for _, _, times in rounds)
    report.target(f"ms from kill -9 to all {ALL} workers adopted", complete, 500, at_least=False)
    report.finish()
