"""Fault 56: the clock on the wall jumps a day to and fro; deadlines, pauses and drains run by the other one."""

import os
import signal
from pathlib import Path

import pytest

from failing import environment
from harness import http
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.events import Events
from harness.ports import free_port
from harness.waiting import wait_until
from world import World

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


class WallClock:
    """Appd's own, moved by what is written to a file."""

    def __init__(self, appd: Appd, folder: Path) -> None:
        self._appd = appd
        self._file = folder / "clock"
        self.jump("+0")

    def jump(self, offset: str) -> None:
        self._file.write_text(offset)

    def start(self) -> None:
        library = next(iter(sorted(LIBRARY.parent.parent.parent.glob("*/faketime/libfaketimeMT.so.1"))), LIBRARY)
        with environment(
            LD_PRELOAD=str(library),
            FAKETIME_TIMESTAMP_FILE=str(self._file),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            DONT_FAKE_MONOTONIC="1",
        ):
            self._appd.start()


@pytest.fixture
def clock(idle_appd: Appd, tmp_path: Path) -> WallClock:
    wall = WallClock(idle_appd, tmp_path)
    wall.start()
    return wall


def test_a_clock_that_jumps_a_day_disturbs_nothing(idle_appd: Appd, clock: WallClock, tmp_path: Path) -> None:
    appd, port, idle = idle_appd, free_port(), free_port()
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    appd.create("idle", write_app(tmp_path / "idle"), idle, "--workers", "2").expect(DONE)
    world = World(appd)
    events = Events(appd)
    began = appd.ok("history", "web", "-o", "json").json["revisions"][0]["create_time"]
    workers = 2
    world.settled(web=workers, idle=2)
    for jump in ("+1d", "-1d", "+400d", "+0"):
        clock.jump(jump)
        workers = 5 - workers
        appd.ok("scale", "web", "--workers", str(workers))
        write_app(folder, version=jump)
        appd.ok("reload", "web")
        assert http.request(port, "/version").text == jump
        victim = min(appd.ready_pids("idle"))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in appd.ready_pids("idle"), "it is missed")
        world.settled(web=workers, idle=2)
        later = appd.ok("history", "web", "-o", "json").json["revisions"][0]["create_time"]
        assert (later > began) == (jump in ("+1d", "+400d", "+0")), "that clock did jump"
        if jump == "-1d":  # the next appd lives before the last one
            appd.kill9()
            clock.start()
            world.settled(web=workers, idle=2)
    events.wait_for(lambda event: event.get("app", {}).get("observed", {}).get("rollout") == "5", "a follower came along")
    events.close()
    assert len(appd.ok("workers", "idle", "--dead", "-o", "json").json["deaths"]) == 4
    numbers = [int(one["number"]) for one in appd.ok("history", "web", "-o", "json").json["revisions"]]
    assert numbers == list(range(9, 0, -1)), "in order, whatever the clock said"
