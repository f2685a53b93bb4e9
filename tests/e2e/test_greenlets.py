"""The classes gevent and eventlet: a greenlet for each request, the library patched in before the app."""

import http.client
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import http as web
from harness import processes
from harness.appd import DONE, Appd
from harness.apps import copy_app, copy_example
from harness.events import Events, exit_of
from harness.load import Load
from harness.ports import free_port
from harness.waiting import wait_until

MEMORY_KB = 16 * 1024
CLASSES = ("gevent", "eventlet")


class Worker:
    """The app apps/greenlets.py in one worker."""

    def __init__(self, appd: Appd, name: str, port: int) -> None:
        self.appd = appd
        self.name = name
        self.port = port
        (self.pid,) = appd.ready_pids(name)

    def get(self, target: str, **more: Any) -> web.Answer:
        return web.request(self.port, target, **more)

    def all_at_once(self, targets: list[str]) -> list[bytes]:
        return web.all_at_once(self.port, targets)


@pytest.fixture(scope="module", params=CLASSES)
def worker(module_appd: Appd, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Worker]:
    name, port = request.param, free_port()
    folder = copy_app("greenlets", tmp_path_factory.mktemp(name))
    module_appd.create(name, folder, port, "--worker-class", name, app="greenlets:app").expect(DONE)
    worker = Worker(module_appd, name, port)
    yield worker
    assert module_appd.ready_pids(name) == {worker.pid}, "one worker has served all of it"


def test_class_is_shown(worker: Worker) -> None:
    assert worker.appd.observed(worker.name)["worker_class"] == worker.name
    (one,) = worker.appd.workers(worker.name)
    assert one["effective_worker_class"] == worker.name


def test_library_is_patched_in_before_the_app_is_imported(worker: Worker) -> None:
    patched = dict(word.split("=") for word in worker.get("/patched").text.split())
    assert all(module.startswith(worker.name) for name, module in patched.items() if name != "threading.get_ident"), patched
    assert re.match("gevent|eventlet", patched["threading.get_ident"])


def test_a_hundred_sleeping_requests_sleep_side_by_side(worker: Worker) -> None:
    began = time.monotonic()
    assert worker.all_at_once(["/sleep?0.5"] * 100) == [b"slept"] * 100
    assert time.monotonic() - began < 10, "one after the other they would take 50 seconds"


def test_a_hundred_requests_are_in_the_app_at_once(worker: Worker) -> None:
    assert worker.all_at_once(["/meet?100"] * 100) == [b"met"] * 100


def test_locals_belong_to_one_request(worker: Worker) -> None:
    words = [f"word{number}" for number in range(50)]
    assert worker.all_at_once([f"/remember?{word}" for word in words]) == [word.encode() for word in words]
    assert worker.get("/forgotten").text == "False", "they end with their request"


def test_locks_of_threading_hold_greenlets(worker: Worker) -> None:
    assert worker.all_at_once(["/locked"] * 50) == [b"had the lock"] * 50


def test_app_may_ask_its_own_worker(worker: Worker) -> None:
    assert worker.get(f"/look_up?{worker.port}").text == "hello"
    assert worker.all_at_once([f"/look_up?{worker.port}"] * 20) == [b"hello"] * 20


def test_requests_that_wait_do_not_hold_up_those_that_do_not(worker: Worker) -> None:
    with web.connect(worker.port) as client:
        client.sendall(b"GET /wait?one HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until(lambda: worker.get("/now_in_hand").text == "1", "the request waits")
        assert all(worker.get("/").text == "hello" for _ in range(20))
        worker.get("/open_gate?one")
        assert web.read_to_end(client).endswith(b"waited")


def test_pipelined_requests_are_answered_in_order(worker: Worker) -> None:
    requests = [b"GET /remember?w%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5)]
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    raw = web.send_raw(worker.port, b"".join(requests) + last)
    assert re.findall(rb"\r\n\r\n(w\d|hello)", raw) == [b"w0", b"w1", b"w2", b"w3", b"w4", b"hello"]


def test_body_is_read(worker: Worker) -> None:
    assert worker.get("/upload", method="POST", body=bytes(3 << 20)).text == str(3 << 20)


def test_slow_reader_holds_neither_the_app_nor_the_workers_memory(worker: Worker) -> None:
    """The engine takes what the app has, and keeps it in a file."""
    mib = 64
    before = processes.resident_kb(worker.pid)
    with web.connect(worker.port) as client:
        client.sendall(f"GET /stream?{mib} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        wait_until(lambda: worker.get("/sent_pieces").text == str(mib * 16), "the app is done")
        assert processes.resident_kb(worker.pid) - before < MEMORY_KB
        received = sum(len(part) for part in iter(lambda: client.recv(1 << 20), b""))
    assert received > mib << 20


@pytest.mark.parametrize("path", ["/fail", "/leave"])
def test_exception_is_a_500_and_a_traceback_in_the_log(worker: Worker, path: str) -> None:
    worker.appd.expect_error(f"event=app_exception .*path=\"{path}\"")
    assert worker.get(path).status == 500
    log = Path(worker.appd.observed(worker.name)["log_path"]).read_text()
    assert "raised on purpose" in log or "no business" in log
    assert worker.get("/").text == "hello"


# --- bounds, deadlines, leaving -----------------------------------------------------------------


@pytest.mark.parametrize("worker_class", CLASSES)
def test_worker_connections_bound_what_is_in_hand_and_change_live(
    appd: Appd, port: int, tmp_path: Path, worker_class: str
) -> None:
    folder = copy_app("greenlets", tmp_path / "app")
    options = ("--worker-class", worker_class, "--worker-connections", "10")
    appd.create("web", folder, port, *options, app="greenlets:app").expect(DONE)
    worker = Worker(appd, "web", port)
    # Ten at a time meet, so ten are let in; more are not.
    assert worker.all_at_once(["/meet?10"] * 40) == [b"met"] * 40
    assert worker.get("/most_in_hand").text == "10"
    appd.ok("scale", "web", "--worker-connections", "25")
    assert worker.all_at_once(["/meet?25"] * 50) == [b"met"] * 50
    assert worker.get("/most_in_hand").text == "25"
    assert appd.ready_pids("web") == {worker.pid}


@pytest.mark.parametrize("worker_class", CLASSES)
def test_requests_in_hand_are_finished_before_their_worker_leaves(
    appd: Appd, port: int, tmp_path: Path, worker_class: str
) -> None:
    folder = copy_app("greenlets", tmp_path / "app")
    appd.create("web", folder, port, "--worker-class", worker_class, "--workers", "2", app="greenlets:app").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/sleep?0.3", connections=16) as load:
        appd.ok("reload", "web")
        appd.ok("scale", "web", "--workers", "1")
    load.assert_nothing_lost(at_least=16)


@pytest.mark.parametrize("worker_class", CLASSES)
def test_worker_whose_loop_is_blocked_is_replaced_and_the_request_named(
    appd: Appd, port: int, tmp_path: Path, events: Events, worker_class: str
) -> None:
    appd.expect_error("timeout")
    folder = copy_app("greenlets", tmp_path / "app")
    options = ("--worker-class", worker_class, "--timeout", "1s")
    appd.create("web", folder, port, *options, app="greenlets:app").expect(DONE)
    (victim,) = appd.ready_pids("web")
    assert web.request(port, "/sleep?1.5").text == "slept", "waiting is not blocking"
    assert appd.ready_pids("web") == {victim}
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        web.request(port, "/block?60")
    assert "GET /block" in events.wait_for(exit_of(victim), "the exit of the worker")["worker"]["exit_reason"]
    appd.wait_ready("web", 1)
    assert web.request(port).text == "hello"


@pytest.mark.parametrize("worker_class", CLASSES)
def test_flask_serves_in_greenlets(appd: Appd, port: int, tmp_path: Path, worker_class: str) -> None:
    folder = copy_example("flask_hello", tmp_path / "app")
    appd.create("web", folder, port, "--worker-class", worker_class, "--workers", "2").expect(DONE)
    assert web.request(port).text == "Hello from Flask under appd!\n"
    body = bytes(range(256)) * 2000
    assert web.request(port, "/upload", "POST", body).body == body
    assert web.request(port, "/stream?lines=1000").text.splitlines()[-1] == "line 999"
    answers: list[int] = []
    clients = [threading.Thread(target=lambda: answers.append(web.request(port, "/slow?ms=500").status)) for _ in range(40)]
    began = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert answers == [200] * 40
    assert time.monotonic() - began < 5, "one after the other they would take ten seconds in two workers"
