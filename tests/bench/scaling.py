"""From 1 to 17 workers of a Django app: how long until all of them accept."""

import os
import signal
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from common import ROOT, Report, free_port, gunicorn, running, running_appd, wait_until

ROUNDS = 15
GUNICORN_ROUNDS = 3
APP = ROOT / "examples" / "django_site"
CONFIGURATION = """
def post_worker_init(worker):
    with open({ready!r}, "a") as file:
        file.write(f"{{worker.pid}}\\n")
"""


def timestamp(text: str) -> float:
    """Seconds of a protobuf JSON timestamp, which may have nine digits behind the point."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def appd_rounds() -> tuple[list[float], list[float]]:
    """Milliseconds of `appctl scale` as a process, and of the operation inside appd."""
    walls, operations = [], []
    with running_appd(core=None) as appd:
        appd.create("site", APP, free_port(), "--workers", "1", "--preload", "on", app="wsgi:application").expect(0)
        for _ in range(ROUNDS):
            begin = time.monotonic()
            scaled = appd.ok("scale", "site", "--workers", "17", "-o", "json")
            walls.append((time.monotonic() - begin) * 1000)
            assert len(appd.ready_pids("site")) == 17
            operation = scaled.json
            operations.append((timestamp(operation["end_time"]) - timestamp(operation["create_time"])) * 1000)
            appd.ok("scale", "site", "--workers", "1")
    return walls, operations


def gunicorn_round(*options: str) -> float:
    """Milliseconds from the first of 16 TTIN signals until 17 workers have started."""
    with tempfile.TemporaryDirectory(prefix="appd-bench-") as folder:
        ready = Path(folder) / "ready"
        configuration = Path(folder) / "gunicorn.conf.py"
        configuration.write_text(CONFIGURATION.format(ready=str(ready)))
        port = free_port()
        command = gunicorn("wsgi:application", port, "--workers", "1", "--config", str(configuration), *options)
        with running("gunicorn", command, port, APP, core=None) as server:
            begin = time.monotonic()
            children = Path(f"/proc/{server.root}/task/{server.root}/children")
            for workers in range(2, 18):
                os.kill(server.root, signal.SIGTTIN)
                # Its queue holds five signals and drops the rest: each is sent once the last has had its effect.
                wait_until(lambda: len(children.read_text().split()) >= workers, f"{workers} gunicorn workers", 60)  # noqa: B023
            wait_until(lambda: len(ready.read_text().split()) >= 17, "17 gunicorn workers", 60)
            return (time.monotonic() - begin) * 1000


def main() -> None:
    report = Report(
        "scaling",
        f"Django with the admin, 1 → 17 workers; appd: medians of {ROUNDS} rounds, appctl's whole process and the operation "
        f"from call to all accepting; gunicorn: 16 × SIGTTIN until post_worker_init of the 17th, medians of {GUNICORN_ROUNDS}; no pinning",
        ["what", "median ms", "worst ms"],
    )
    walls, operations = appd_rounds()
    report.row("appd: the operation (call to all accepting)", f"{statistics.median(operations):.1f}", f"{max(operations):.1f}")
    report.row("appd: `appctl scale`, the whole process", f"{statistics.median(walls):.1f}", f"{max(walls):.1f}")
    for name, options in (("gunicorn, TTIN", ()), ("gunicorn --preload, TTIN", ("--preload",))):
        times = [gunicorn_round(*options) for _ in range(GUNICORN_ROUNDS)]
        report.row(name, f"{statistics.median(times):.1f}", f"{max(times):.1f}")
        report.figures[name] = times
    report.figures |= {"operation_ms": operations, "appctl_ms": walls}
    report.target("ms from call to all 17 accepting", statistics.median(operations), 60, at_least=False)
    report.target("ms of the whole appctl process", statistics.median(walls), 60, at_least=False)
    report.finish()
