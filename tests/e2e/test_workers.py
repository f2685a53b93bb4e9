"""Workers that die, hang or crash: replaced, and the reason is visible."""

import http.client
import os
import signal
from pathlib import Path

import pytest

from harness import http as web
from harness import processes
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.events import Events, exit_of
from harness.load import Load
from harness.waiting import wait_until


def test_killed_worker_is_replaced_and_the_signal_is_told(appd: Appd, port: int, tmp_path: Path, events: Events) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    victim = min(appd.ready_pids("web"))
    os.kill(victim, signal.SIGKILL)
    reason = events.wait_for(exit_of(victim), "the exit of the worker")["worker"]["exit_reason"]
    assert "SIGKILL" in reason
    after = appd.wait_ready("web", 3, timeout=5)
    assert victim not in after
    assert appd.observed("web")["unexpected_exits"] == "1"


def test_idle_workers_killed_under_load_cost_no_other_request(appd: Appd, port: int, tmp_path: Path) -> None:
    """Only what the victim itself has in hand may fail: at most its own connections, once each."""
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=64, options=("--think", "20")) as load:
        victim = min(appd.ready_pids("web"))
        held = next(worker["connections"] for worker in appd.workers("web") if worker["pid"] == victim)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in appd.ready_pids("web"), "the victim is missed")
        appd.wait_ready("web", 4)
        wait_until(lambda: load.snapshot()["ok"] > 100, "enough requests to mean something")
    assert load.report["failed"] <= max(held, 64)
    assert set(load.report["failures"]) <= {"reset", "eof"}
    assert load.report["ok"] > 100


def test_worker_that_exits_in_a_request_is_replaced(appd: Appd, port: int, tmp_path: Path, events: Events) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    (victim,) = appd.ready_pids("web")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        web.request(port, "/exit")
    reason = events.wait_for(exit_of(victim), "the exit of the worker")["worker"]["exit_reason"]
    assert "7" in reason
    appd.wait_ready("web", 1)
    assert web.request(port).text == "hello"


@pytest.mark.parametrize("threads", ["1", "4"])
def test_request_over_the_timeout_costs_its_worker_its_life(
    appd: Appd, port: int, tmp_path: Path, events: Events, threads: str
) -> None:
    appd.expect_error("timeout")
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "1", "--threads", threads, "--timeout", "1s").expect(DONE)
    (victim,) = appd.ready_pids("web")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        web.request(port, "/slow?ms=60000")
    reason = events.wait_for(exit_of(victim), "the exit of the worker")["worker"]["exit_reason"]
    assert "timeout" in reason and "GET /slow" in reason
    appd.wait_ready("web", 1)
    assert web.request(port).text == "hello"


def test_request_that_holds_the_gil_in_c_is_found_too(appd: Appd, port: int, tmp_path: Path, events: Events) -> None:
    appd.expect_error("timeout")
    extra = """
def stuck(environ, start_response):
    2 ** (10 ** 10)
"""
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--timeout", "1s", app="wsgi:stuck").expect(DONE)
    (victim,) = appd.ready_pids("web")
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        web.request(port)
    events.wait_for(exit_of(victim), "the exit of the worker")
    appd.wait_ready("web", 1)


def test_worker_that_ignores_sigterm_goes_all_the_same(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--workers", "2", "--graceful-timeout", "1s").expect(DONE)
    appd.ok("scale", "web", "--workers", "1")
    assert len(appd.ready_pids("web")) == 1


def test_request_longer_than_graceful_timeout_is_cut_off_when_its_worker_leaves(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--graceful-timeout", "1s").expect(DONE)
    (victim,) = appd.ready_pids("web")
    with web.connect(port) as client:
        client.sendall(b"GET /slow?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: appd.workers("web")[0]["busy"] == 1, "the request is in the app")
        appd.ok("stop", "web")
        assert web.read_to_end(client) == b""
    assert not processes.alive(victim)


def test_killed_zygote_is_replaced_with_its_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    before = appd.ready_pids("web")
    (zygote,) = {processes.process(pid).parent for pid in before}  # type: ignore[union-attr]
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: (ready := appd.ready_pids("web")) and len(ready) == 3 and ready.isdisjoint(before), "three new workers")
    assert web.request(port).text == "hello"
    wait_until(lambda: not any(processes.alive(pid) for pid in before), "the old workers are gone")


def test_crash_loop_backs_off_and_says_so(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = "import os, threading\nif os.environ.get('CRASH'): threading.Timer(0.05, os._exit, (3,)).start()"
    other = write_app(tmp_path / "other")
    from harness.ports import free_port

    appd.create("other", other, free_port()).expect(DONE)
    untouched = appd.ready_pids("other")
    appd.create("web", write_app(tmp_path / "web", extra=extra), port, "--env", "CRASH=1", "--preload", "off")
    wait_until(lambda: appd.observed("web").get("retry_time"), "appd waits before it tries again")
    assert appd.ready_pids("other") == untouched
    appd.ok("list")


def test_figures_of_workers_are_counted(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.expect_error("event=app_exception")
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    for _ in range(5):
        web.request(port)
    assert web.request(port, "/raise").status == 500
    (worker,) = appd.workers("web")
    assert (int(worker["requests"]), int(worker["errors"]), worker["busy"]) == (6, 1, 0)
    with web.connect(port) as client:
        client.sendall(b"GET /slow?ms=500 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until(lambda: (appd.workers("web")[0]["busy"], appd.workers("web")[0]["connections"]) == (1, 1), "one busy")
        web.read_to_end(client)


def test_children_that_an_app_starts_go_with_it(appd: Appd, port: int, tmp_path: Path) -> None:
    source = """
import subprocess

def app(environ, start_response):
    child = subprocess.Popen(["sleep", "1000"])
    body = str(child.pid).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
    appd.create("web", write_app(tmp_path / "web", source=source), port).expect(DONE)
    child = int(web.request(port).text)
    assert processes.alive(child)
    appd.ok("stop", "web")
    wait_until(lambda: not processes.alive(child), "the app's child is gone too")
