"""Faults 43 to 45, 48 and 63: addresses that are taken, change or cannot be, bursts of clients, and sockets that a cleaner
removes."""

import json
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from crowd import Crowd, Site
from harness import http
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.paths import LOADGEN
from harness.ports import free_port
from harness.waiting import wait_until
from world import World


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_an_address_that_is_taken_refuses_the_deploy_before_anything_is_touched(
    appd: Appd, world: World, web: Site, host: str
) -> None:
    before = world.settled(web=2)
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    with socket.socket(family) as taken, Crowd(web) as crowd:
        taken.bind((host.strip("[]"), 0))
        taken.listen()
        other = f"{host}:{taken.getsockname()[1]}"
        refused = appd.ctl("set", "web", "--bind", f"127.0.0.1:{web.port}", "--bind", other)
        assert refused.exit != DONE and other in refused.output and "another process listens there" in refused.output
        crowd.progress()
        assert world.settled(web=2) == before
    crowd.assert_nothing_lost()


def test_a_deploy_that_changes_the_port_is_never_without_one(appd: Appd, tmp_path: Path) -> None:
    """The new one serves before the old one is closed, and what was connected there is answered."""
    old, new = free_port(), free_port()
    appd.create("web", write_app(tmp_path / "web"), old, "--workers", "2", "--threads", "4").expect(DONE)
    with ExitStack() as stack:
        clients = [stack.enter_context(http.connect(old)) for _ in range(4)]
        for client in clients:
            client.sendall(b"GET /slow?ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: sum(one["busy"] for one in appd.workers("web")) == 4, "all of them are in the app")
        appd.ok("set", "web", "--bind", f"127.0.0.1:{new}", "--no-wait")
        seen = set()

        def moved() -> bool:
            seen.add((http.refused(old), http.refused(new)))  # in this order: a gap could not hide between
            return seen >= {(True, False)}

        wait_until(moved, "the old port is closed", 30)
        assert (True, True) not in seen
        assert [http.status_of(http.read_to_end(client)) for client in clients] == [200] * 4
    assert http.request(new).text == "hello"


def test_paths_that_cannot_be_sockets_are_refused_with_the_reason(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    short = appd.runtime_dir
    (short / "directory").mkdir()
    (short / "file").write_text("precious")
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(short / "live"))
        live.listen()
        for path in (short / "directory", short / "file", short / "live", short / "none" / "s", short / ("x" * 120)):
            refused = appd.ctl("create", "web", "--directory", str(folder), "--app", "wsgi:app", "--bind", f"unix:{path}")
            assert refused.exit != DONE and str(path)[:60] in refused.output, refused.output
            assert appd.ctl("get", "web").exit != DONE
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(short / "live"))  # still its owner's
    assert (short / "file").read_text() == "precious"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(short / "dead"))
    appd.ok("create", "web", "--directory", str(folder), "--app", "wsgi:app", "--bind", f"unix:{short}/dead")


def burst(port: int, connections: int, timeout_ms: int) -> dict[str, Any]:
    """All of them at once, twice; what became of the requests."""
    command = [str(LOADGEN), "--json", "--fresh", "--require-number", "--connections", str(connections)]
    command += ["--requests", str(connections * 2), "--timeout", str(timeout_ms), f"http://127.0.0.1:{port}/"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=300).stdout)


def test_a_burst_is_answered(appd: Appd, world: World, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    before = world.settled(web=2)
    report = burst(port, 1500, 60_000)
    assert (report["ok"], report["failed"]) == (3000, 0), report
    assert world.settled(web=2) == before


def test_a_burst_beyond_the_backlog_keeps_nobody_else_out(appd: Appd, world: World, port: int, tmp_path: Path) -> None:
    """Whom the kernel has no room for it lets try again, or wait for nothing; none is cut off by us, and all is well after."""
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2", "--backlog", "16").expect(DONE)
    before = world.settled(web=2)
    report = burst(port, 600, 3000)
    assert set(report["failures"]) <= {"timeout"}, report
    assert http.request(port).text == "hello"
    wait_until(lambda: sum(one["connections"] for one in appd.workers("web")) == 0, "no connection is left")
    assert world.settled(web=2) == before


@pytest.mark.long
def test_ten_thousand_connections_at_once_leave_all_well(appd: Appd, world: World, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(DONE)
    before = world.settled(web=4)
    report = burst(port, 10_000, 120_000)
    assert set(report["failures"]) <= {"timeout"} and report["ok"] > 15_000, report  # beyond the backlog too
    assert world.settled(web=4) == before
