"""Health checks: a new worker is asked before it takes its first client, and a sick one never takes any."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import http
from harness.appd import DONE, FAILED, ROLLED_BACK, USAGE, Appd
from harness.apps import copy_app
from harness.load import Load
from harness.waiting import wait_until

CHECKED = ("--health-path", "/healthz")
ONCE = (*CHECKED, "--health-tries", "1")
CLASSES = [
    ("sync", "healthy:wsgi"),
    ("gthread", "healthy:wsgi"),
    ("gevent", "healthy:wsgi"),
    ("eventlet", "healthy:wsgi"),
    ("tornado", "healthy:native()"),
    ("asgi", "healthy:asgi"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = copy_app("healthy", tmp_path / "app")
    become(folder, "1", "200 well")
    return folder


def become(folder: Path, version: str, health: str) -> None:
    (folder / "version").write_text(version)
    (folder / "health").write_text(health)


def create(appd: Appd, folder: Path, port: int, *more: str, app: str = "healthy:wsgi") -> None:
    appd.create("web", folder, port, "--workers", "2", *more, app=app).expect(DONE)


@contextmanager
def answered(port: int, target: str) -> Iterator[threading.Event]:
    """A request on its way; the event is set when its answer has come."""
    done = threading.Event()

    def ask() -> None:
        assert http.request(port, target).status == 200
        done.set()

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield done
    finally:
        client.join()


@pytest.mark.parametrize(("worker_class", "app"), CLASSES)
def test_a_sick_rollout_is_taken_back_in_every_class(
    appd: Appd, port: int, folder: Path, worker_class: str, app: str
) -> None:
    create(appd, folder, port, "--worker-class", worker_class, *ONCE, app=app)
    before = appd.ready_pids("web")
    assert http.request(port).text == "1"
    become(folder, "2", "503 no database")
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert "health check GET /healthz answered 503, expected 200 (1 try)" in failed.output
    assert "no database" in failed.output
    assert http.request(port).text == "1"
    assert appd.ready_pids("web") == before
    become(folder, "3", "200 well")
    appd.ok("reload", "web")
    assert http.request(port).text == "3"


def test_nobody_is_sent_to_a_worker_that_is_not_well(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, *CHECKED)
    before = appd.ready_pids("web")
    become(folder, "2", "503 no database")
    with Load(f"http://127.0.0.1:{port}/", options=("--fresh",), connections=16) as load:
        failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    load.assert_nothing_lost()
    assert {int(pid) for pid in load.report["collected"]} <= before
    assert "answered 503, expected 200 (3 tries)" in failed.output
    failure = appd.observed("web")["last_failure"]
    assert failure["cause"] == "PROBE_FAILED"
    assert failure["traceback"] == "HTTP/1.1 503 Told\n\nno database"


def test_clients_wait_until_the_first_worker_is_well(appd: Appd, port: int, folder: Path) -> None:
    """A worker with idle threads and a client in its accept queue: it takes none before it has been asked."""
    become(folder, "1", "gate")
    more = ("--threads", "4", *CHECKED, "--health-timeout", "15s")
    appd.create("web", folder, port, "--no-wait", *more, app="healthy:wsgi").expect(DONE)
    wait_until(lambda: any(one["busy"] > 0 for one in appd.workers("web")), "the worker is being asked")
    with answered(port, "/") as done:
        assert not done.wait(0.5)
        assert appd.observed("web")["ready_workers"] == 0
        (folder / "gate").touch()
        assert done.wait(20)


def test_a_loop_that_is_full_with_the_health_check_takes_no_client_either(appd: Appd, port: int, folder: Path) -> None:
    more = ("--worker-class", "asgi", "--worker-connections", "1", *CHECKED, "--health-tries", "2")
    create(appd, folder, port, *more, app="healthy:asgi")
    before = appd.ready_pids("web")
    become(folder, "2", "503 no database")
    pids = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            pids.add(int(http.request(port, "/pid").text))

    client = threading.Thread(target=ask)
    client.start()
    try:
        appd.ctl("reload", "web").expect(ROLLED_BACK)
    finally:
        stop.set()
        client.join()
    assert pids <= before


def test_an_app_that_does_not_answer_is_given_up(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, *CHECKED, "--health-timeout", "200ms", "--health-tries", "2")
    become(folder, "2", "gate")
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert "health check GET /healthz gave no answer within 200 ms (2 tries)" in failed.output
    assert http.request(port).text == "1"


def test_an_app_that_becomes_well_in_time_is_taken(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, *CHECKED, "--health-timeout", "300ms", "--health-tries", "40")
    become(folder, "2", "gate")
    reload = threading.Thread(target=lambda: appd.ok("reload", "web"))
    reload.start()
    wait_until(lambda: len(appd.workers("web")) == 3, "the new worker is there")
    (folder / "gate").touch()
    reload.join()
    assert http.request(port).text == "2"


def test_a_sick_first_start_fails_and_says_why(appd: Appd, port: int, folder: Path) -> None:
    become(folder, "1", "500 sick")
    failed = appd.create("web", folder, port, *ONCE, app="healthy:wsgi").expect(FAILED)
    assert "answered 500, expected 200" in failed.output
    become(folder, "1", "200 well")
    appd.wait_ready("web", 1)
    assert http.request(port).text == "1"


def test_a_replacement_that_is_sick_waits_outside_of_a_serving_pool(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, *ONCE)
    victim, other = sorted(appd.ready_pids("web"))
    (folder / "health").write_text("503 no database")
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: appd.observed("web").get("last_failure"), "the replacement was refused")
    assert appd.observed("web")["last_failure"]["cause"] == "PROBE_FAILED"
    assert {int(http.request(port, "/pid").text) for _ in range(20)} == {other}
    (folder / "health").write_text("200 well")
    assert other in appd.wait_ready("web", 2)


def test_every_status_of_a_range_is_healthy(appd: Appd, port: int, folder: Path) -> None:
    become(folder, "1", "301 elsewhere")
    create(appd, folder, port, *ONCE, "--health-status", "200-399")
    become(folder, "2", "400 wrong")
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert "answered 400, expected 200-399" in failed.output


def test_the_check_needs_no_proxy_header(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, *ONCE, "--proxy-protocol", "v1", "--proxy-allow-ips", "*")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.0\r\n\r\n")
        assert http.status_of(http.read_to_end(client)) == 200


def test_a_refused_rollout_is_not_tried_again_by_the_next_appd(idle_appd: Appd, port: int, folder: Path) -> None:
    appd = idle_appd.start()
    create(appd, folder, port, *ONCE)
    before = appd.ready_pids("web")
    become(folder, "2", "503 no database")
    appd.ctl("reload", "web").expect(ROLLED_BACK)
    appd.kill9()
    become(folder, "2", "200 well")  # it would be taken now
    appd.start()
    wait_until(lambda: appd.observed("web")["state"] == "ACTIVE", "what served before serves on")
    assert appd.ready_pids("web") == before
    assert appd.observed("web")["rollout"] == "1"
    appd.ok("reload", "web")
    assert http.request(port).text == "2"


def test_settings_that_cannot_be_are_refused(appd: Appd, port: int, folder: Path) -> None:
    for flags, words in [
        (("--health-path", "healthz"), "must begin with"),
        ((*CHECKED, "--health-status", "2xx"), '"200" or "200-399"'),
        ((*CHECKED, "--health-timeout", "1m"), "longer than boot_timeout"),
    ]:
        refused = appd.create("web", folder, port, *flags, app="healthy:wsgi").expect(USAGE)
        assert flags[-2] in refused.output and words in refused.output
