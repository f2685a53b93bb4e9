"""A clean reload of the Django example: how long it takes, and how many workers accept at each moment of it."""

import json
import mmap
import os
import statistics
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from common import ROOT, Report, free_port, running_appd
from harness.appd import Appd
from harness.paths import LOADGEN

WORKERS, ROUNDS = 4, 9
INTERVAL_S = 0.002
APP = ROOT / "examples" / "django_site"
TAKERS_AT = 12  # ScoreboardHeader::takers (common/scoreboard.h)


class Scoreboards:
    """The scoreboards that appd has mapped, read as it does: how many workers take clients now."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._maps: dict[int, mmap.mmap] = {}  # by inode
        self._old = set(self._present())

    def takers(self) -> tuple[int, int]:
        """Of the rollouts that were there at first, and of those that have come since."""
        old = new = 0
        for inode in self._present():
            (takers,) = struct.unpack_from("=I", self._maps[inode], TAKERS_AT)
            if inode in self._old:
                old += takers
            else:
                new += takers
        return old, new

    def _present(self) -> set[int]:
        present = set()
        for entry in os.scandir(f"/proc/{self._pid}/fd"):
            try:
                if "memfd:appd-scoreboard" not in os.readlink(entry.path):
                    continue
                inode = os.stat(entry.path).st_ino
                if inode not in self._maps:
                    with open(entry.path, "rb") as file:
                        self._maps[inode] = mmap.mmap(file.fileno(), mmap.PAGESIZE, prot=mmap.PROT_READ)
            except OSError:
                continue  # closed meanwhile
            present.add(inode)
        return present


@contextmanager
def watched(appd: Appd) -> Iterator[list[tuple[float, int, int]]]:
    """Meanwhile: milliseconds from now, and how many workers of the old and of the new rollout accept; changes only."""
    course: list[tuple[float, int, int]] = []
    boards, stopping, begin = Scoreboards(appd.pid), threading.Event(), time.monotonic()

    def watch() -> None:
        while not stopping.wait(INTERVAL_S):
            at = (time.monotonic() - begin) * 1000
            old, new = boards.takers()
            if not course or course[-1][1:] != (old, new):
                course.append((at, old, new))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield course
    finally:
        stopping.set()
        thread.join()


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def one_round(appd: Appd) -> tuple[float, float, list[tuple[float, int, int]]]:
    """Milliseconds of the operation and of the whole appctl process, and the course of the pool."""
    before = appd.ready_pids("site")
    with watched(appd) as course:
        begin = time.monotonic()
        reloaded = appd.ok("reload", "site", "-o", "json").json
        took = (time.monotonic() - begin) * 1000
    assert appd.ready_pids("site").isdisjoint(before)
    return (seconds(reloaded["end_time"]) - seconds(reloaded["create_time"])) * 1000, took, course


def main() -> None:
    report = Report(
        "reload",
        f"Django with the admin, {WORKERS} workers, `appctl reload` without load and with 16 keep-alive clients that pause 20 ms; medians of "
        f"{ROUNDS} rounds; workers that accept: read from the scoreboards every {INTERVAL_S * 1000:.0f} ms; no pinning",
        ["what", "median ms", "worst ms", "fewest that accept", "failed requests"],
    )
    with running_appd(core=None) as appd:
        port = free_port()
        appd.create("site", APP, port, "--workers", str(WORKERS), "--preload", "on", app="wsgi:application").expect(0)
        rounds = {"without load": ([one_round(appd) for _ in range(ROUNDS)], 0)}
        command = [str(LOADGEN), "--json", "--connections", "16", "--think", "20", f"http://127.0.0.1:{port}/plain"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
            assert load.stderr is not None
            load.stderr.readline()  # every connection has had an answer
            busy = [one_round(appd) for _ in range(ROUNDS)]
            load.terminate()
            report_of_load = json.loads(load.communicate()[0])
        assert report_of_load["ok"] > 0
        rounds["under load"] = (busy, report_of_load["failed"])
    fewest = WORKERS
    for name, (results, failed) in rounds.items():
        least = min(old + new for _, _, course in results for _, old, new in course)
        fewest = min(fewest, least)
        for what, times in zip(("from call to the last old one gone", "the whole appctl process"), zip(*results)):
            report.row(f"{what}, {name}", f"{statistics.median(times):.1f}", f"{max(times):.1f}", least, failed)
        report.figures[name] = {"operation_ms": [one[0] for one in results], "courses": [one[2] for one in results]}
    report.target("workers that accept at every moment", fewest, WORKERS, at_least=True)
    report.target("requests lost", rounds["under load"][1], 0, at_least=False)
    report.finish()
    show(rounds["under load"][0][ROUNDS // 2][2])


def show(course: list[tuple[float, int, int]]) -> None:
    """One of the reloads, moment by moment."""
    print("\n  workers that accept in one reload under load\n")
    print("      ms   old   new   together")
    for at, old, new in course:
        print(f"  {at:6.0f}  {old:4}  {new:4}  {old + new:9}  {'▒' * old}{'█' * new}")
    print()
