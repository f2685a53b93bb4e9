"""Drain: whatever kind of connection a worker has when it is told to go is finished, and what is not in time
is counted and named. Two workers serve; the clients are at the one that leaves."""

import os
import re
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness import http
from harness.appd import DONE, Appd
from harness.apps import copy_app
from harness.events import Events
from harness.waiting import wait_until

LARGE = 64 << 20

# What makes a worker leave.
LEAVE = {"reload": ("reload", "web"), "scale down": ("scale", "web", "--workers", "1")}


def make(appd: Appd, port: int, folder: Path, *more: str, app: str = "wsgi", threads: int = 4) -> int:
    """Two workers; the pid of the one that a scale down lets go."""
    copy_app("drains", folder)
    options = ("--workers", "2", *(("--threads", str(threads)) if app == "wsgi" else ()), *more)
    appd.create("web", folder, port, *options, app=f"drains:{app}").expect(DONE)
    return max(appd.workers("web"), key=lambda worker: worker["id"])["pid"]


def stopped(pid: int) -> bool:
    return all(
        re.search(r"^State:\s+T", status.read_text(), re.M) for status in Path(f"/proc/{pid}/task").glob("*/status")
    )


@contextmanager
def only(appd: Appd, pid: int) -> Iterator[None]:
    """Of all workers only this one takes clients."""
    others = appd.ready_pids("web") - {pid}
    for other in others:
        os.kill(other, signal.SIGSTOP)
    try:
        wait_until(lambda: all(stopped(other) for other in others), "the others stand still")
        yield
    finally:
        for other in others:
            os.kill(other, signal.SIGCONT)


class Kind(ABC):
    """A connection with something unfinished on it, at a worker of our choice."""

    path: str
    stage = "IN_APP"
    receive_buffer: int | None = None
    client: socket.socket

    def __init__(self, gate: Path) -> None:
        self.gate = gate

    def begin(self, appd: Appd, port: int, pid: int) -> None:
        self.client = socket.socket()
        self.client.settimeout(30)
        if self.receive_buffer is not None:
            self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        with only(appd, pid):
            self.client.connect(("127.0.0.1", port))
            self.send("GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
            assert self.read_until(str(pid).encode()).startswith(b"HTTP/1.1 200")
        self.ask()

    def send(self, text: str) -> None:
        self.client.sendall(text.encode())

    def read_until(self, what: bytes) -> bytes:
        received = b""
        while what not in received:
            part = self.client.recv(65536)
            assert part, f"the end, after {received!r}"
            received += part
        return received

    @abstractmethod
    def ask(self) -> None:
        """Begins what is to be unfinished."""

    @abstractmethod
    def finish(self, port: int) -> None:
        """Ends it, and sees that nothing is missing."""

    def answer(self) -> bytes:
        """All that comes until the worker closes; whole, as the head says that it will close."""
        head, _, body = http.read_to_end(self.client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        assert b"Connection: close" in head
        return body


class Request(Kind):
    path = "/gate"

    def ask(self) -> None:
        self.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n")

    def finish(self, port: int) -> None:
        self.gate.touch()
        assert self.answer() == b"open"


class Pipelined(Request):
    def ask(self) -> None:
        self.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n" + "GET /pid HTTP/1.1\r\nHost: a\r\n\r\n" * 2)

    def finish(self, port: int) -> None:
        super().finish(port)
        # Connection: close says that those behind it were not begun (RFC 9112 §9.6): they are asked for anew.
        for _ in range(2):
            assert http.request(port, "/pid").status == 200


class Upload(Kind):
    path = "/upload"
    stage = "RECEIVING"

    def ask(self) -> None:
        self.send("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")

    def finish(self, port: int) -> None:
        self.send("6\r\n world\r\n0\r\n\r\n")
        assert self.answer() == b"hello world"


class Stream(Kind):
    path = "/stream"

    def ask(self) -> None:
        self.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
        self.read_until(b"begun")

    def finish(self, port: int) -> None:
        self.gate.touch()
        assert http.read_to_end(self.client) == b"5\r\nended\r\n0\r\n\r\n"


class Reader(Kind):
    path = "/large"
    stage = "SENDING"
    receive_buffer = 65536

    def ask(self) -> None:
        self.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        self.head = self.client.recv(100)

    def finish(self, port: int) -> None:
        received = bytearray(self.head)
        while part := self.client.recv(1 << 20):
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        assert f"Content-Length: {LARGE}".encode() in head
        assert len(body) == LARGE


KINDS = {"request": Request, "pipelined": Pipelined, "upload": Upload, "stream": Stream, "slow reader": Reader}


def begin_to_leave(appd: Appd, pid: int, *leave: str) -> str:
    """The operation, once the worker has been told to go."""
    operation = appd.ok(*leave, "--no-wait").stdout.strip()
    wait_until(
        lambda: any((w["pid"], w["state"]) == (pid, "DRAINING") for w in appd.workers("web")), f"{pid} drains", 30
    )
    return operation


def operation_of(appd: Appd, name: str) -> dict[str, Any]:
    operations = appd.ok("operations", "web", "-o", "json").json["operations"]
    return next(one for one in operations if one["name"] == name)




@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_unfinished_is_finished_whole(appd: Appd, port: int, tmp_path: Path, kind: str, leave: str) -> None:
    leaving = make(appd, port, tmp_path / "web")
    one = KINDS[kind](tmp_path / "web" / "gate")
    one.begin(appd, port, leaving)
    operation = begin_to_leave(appd, leaving, *LEAVE[leave])
    one.finish(port)
    done = appd.ok("wait", operation)
    assert "cut" not in done.output
    assert "cut" not in operation_of(appd, operation)


@pytest.mark.parametrize("leave", LEAVE)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "pipelined"])
def test_what_is_not_finished_in_time_is_cut_and_named(
    appd: Appd, port: int, tmp_path: Path, kind: str, leave: str
) -> None:
    leaving = make(appd, port, tmp_path / "web", "--graceful-timeout", "2s")
    number = next(worker["id"] for worker in appd.workers("web") if worker["pid"] == leaving)
    one = KINDS[kind](tmp_path / "web" / "gate")
    one.begin(appd, port, leaving)
    done = appd.ok(*LEAVE[leave])
    method = "POST" if kind == "upload" else "GET"
    assert "1 request was cut at graceful_timeout (2s):" in done.stderr
    assert f"worker {number}  {method} {one.path}, for " in done.stderr
    cut = operation_of(appd, appd.get("web")["operation"])["cut"]
    assert (cut["workers"], cut["requests"], cut["websockets"]) == (1, 1, 0)
    (worker,) = cut["cut_workers"]
    assert (worker["worker"], worker["limit"], worker["rollout"]) == (number, "graceful_timeout", "1")
    (request,) = worker["requests_in_hand"]
    assert (request["method"], request["path"], request["stage"]) == (method, one.path, one.stage)
    assert "1 request cut" in appd.ok("history", "web").stdout
    certificate = appd.ok("workers", "web", "--dead", worker["death"].rsplit("/", 1)[1]).stdout
    assert f"{method} {one.path}" in certificate


@pytest.mark.parametrize("leave", LEAVE)
def test_idle_connections_end_politely(appd: Appd, port: int, tmp_path: Path, leave: str) -> None:
    leaving = make(appd, port, tmp_path / "web")
    with only(appd, leaving):
        idle = http.connect(port, timeout=30)
        idle.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
    appd.ok(*LEAVE[leave])
    assert idle.recv(1) == b"", "the end, and no reset"


@pytest.mark.parametrize("leave", LEAVE)
def test_who_waits_in_the_accept_queue_is_served(appd: Appd, port: int, tmp_path: Path, leave: str) -> None:
    leaving = make(appd, port, tmp_path / "web", threads=1)
    gate = tmp_path / "web" / "gate"
    held = [Request(gate) for _ in range(2)]
    for one, pid in zip(held, appd.ready_pids("web")):
        one.begin(appd, port, pid)
    wait_until(lambda: all(worker.get("busy", 0) for worker in appd.workers("web")), "nobody accepts")
    waiting = [http.connect(port, timeout=30) for _ in range(16)]
    for client in waiting:
        client.sendall(b"GET /pid HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    operation = begin_to_leave(appd, leaving, *LEAVE[leave])
    gate.touch()
    assert [http.status_of(http.read_to_end(client)) for client in waiting] == [200] * 16
    for one in held:
        assert http.status_of(http.read_to_end(one.client)[:15] if leave == "reload" else one.client.recv(15)) == 200
    appd.ok("wait", operation)
    assert "cut" not in operation_of(appd, operation)


# --- WebSockets ---------------------------------------------------------------------------------------


class WebSocket(Kind):
    """Speaks as much of RFC 6455 as an echo needs, with a mask of zeros."""

    def ask(self) -> None:
        fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        self.send(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert b" 101 " in self.read_until(b"\r\n\r\n")
        self.echo("here")

    def echo(self, words: str) -> None:
        self.client.sendall(bytes([0x81, 0x80 | len(words), 0, 0, 0, 0]) + words.encode())
        assert self.read_until(words.encode()) == bytes([0x81, len(words)]) + words.encode()

    def finish(self, port: int) -> None:
        self.echo("still here")
        self.client.sendall(bytes([0x88, 0x82, 0, 0, 0, 0]) + (1000).to_bytes(2, "big"))
        assert self.client.recv(4) == bytes([0x88, 2]) + (1000).to_bytes(2, "big")


@pytest.mark.parametrize("leave", LEAVE)
def test_a_websocket_may_go_on_while_its_worker_drains(appd: Appd, port: int, tmp_path: Path, leave: str) -> None:
    leaving = make(appd, port, tmp_path / "web", "--ws-drain-timeout", "1m", app="asgi")
    one = WebSocket(tmp_path / "web" / "gate")
    one.begin(appd, port, leaving)
    operation = begin_to_leave(appd, leaving, *LEAVE[leave])
    one.finish(port)
    appd.ok("wait", operation)
    assert "cut" not in operation_of(appd, operation)


@pytest.mark.parametrize("leave", LEAVE)
def test_websockets_that_stay_too_long_are_cut_and_counted(appd: Appd, port: int, tmp_path: Path, leave: str) -> None:
    limits = ("--ws-drain-timeout", "1m", "--graceful-timeout", "2s")
    leaving = make(appd, port, tmp_path / "web", *limits, app="asgi")
    clients = [WebSocket(tmp_path / "web" / "gate") for _ in range(3)]
    for one in clients:
        one.begin(appd, port, leaving)
    done = appd.ok(*LEAVE[leave])
    assert "3 WebSockets were cut at graceful_timeout (2s):" in done.stderr
    cut = operation_of(appd, appd.get("web")["operation"])["cut"]
    assert (cut["requests"], cut["websockets"]) == (0, 3)
    assert cut["cut_workers"][0]["websockets"] == 3


# --- The account ----------------------------------------------------------------------------------------


def test_requests_of_several_kinds_are_told_apart_and_the_text_is_for_people(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    leaving = make(appd, port, tmp_path / "web", "--graceful-timeout", "2s")
    kinds = [KINDS[kind](tmp_path / "web" / "gate") for kind in ("request", "upload", "slow reader")]
    for one in kinds:
        one.begin(appd, port, leaving)
    done = appd.ok("reload", "web")
    assert "3 requests were cut at graceful_timeout (2s):" in done.stderr
    assert re.search(r"worker \d+  GET /gate, for [\d.]+s\n", done.stderr), done.stderr
    assert re.search(r"POST /upload, for [\d.]+s, its body was still to come\n", done.stderr), done.stderr
    assert re.search(r"GET /large, for [\d.]+s, its client was still reading\n", done.stderr), done.stderr
    as_json = appd.ok("wait", appd.get("web")["operation"], "-o", "json").json
    assert as_json["cut"]["requests"] == 3
    assert "3 requests cut" in appd.ok("operations", "web").stdout


def test_what_was_cut_is_kept_and_what_is_cut_while_appd_is_dead_is_counted_by_the_next(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    leaving = make(appd, port, tmp_path / "web", "--graceful-timeout", "6s")
    one = Upload(tmp_path / "web" / "gate")
    one.begin(appd, port, leaving)
    operation = begin_to_leave(appd, leaving, "scale", "web", "--workers", "1")
    appd.kill9()
    wait_until(lambda: not Path(f"/proc/{leaving}").exists(), "the worker has been cut", 30)
    appd.start()
    appd.ok("wait", operation)
    assert operation_of(appd, operation)["cut"]["requests"] == 1
    appd.kill9()
    appd.start()
    kept = operation_of(appd, operation)["cut"]["cut_workers"][0]["requests_in_hand"]
    assert [request["path"] for request in kept] == ["/upload"]


def test_without_a_graceful_timeout_a_drain_takes_as_long_as_its_requests(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    leaving = make(appd, port, tmp_path / "web", "--graceful-timeout", "0", "--timeout", "0")
    one = Request(tmp_path / "web" / "gate")
    one.begin(appd, port, leaving)
    operation = begin_to_leave(appd, leaving, "reload", "web")
    # appd's own limit would be 5 s beyond graceful_timeout.
    waited = appd.ctl("wait", operation, "--wait-timeout", "7s")
    assert waited.exit != DONE and "not done after 7s" in waited.stderr
    one.finish(port)
    appd.ok("wait", operation)


def test_a_killed_worker_on_its_way_out_has_cut_what_it_had(appd: Appd, port: int, tmp_path: Path) -> None:
    leaving = make(appd, port, tmp_path / "web")
    one = Request(tmp_path / "web" / "gate")
    one.begin(appd, port, leaving)
    operation = begin_to_leave(appd, leaving, "reload", "web")
    os.kill(leaving, signal.SIGKILL)
    done = appd.ok("wait", operation)
    assert re.search(r"1 request was cut:\n  worker \d+  GET /gate, for ", done.stderr), done.stderr
    assert operation_of(appd, operation)["cut"]["cut_workers"][0]["limit"] == ""


def test_the_cut_of_a_rollout_that_is_superseded_counts_for_the_change_that_did_it(
    appd: Appd, events: Events, port: int, tmp_path: Path
) -> None:
    make(appd, port, tmp_path / "web", "--graceful-timeout", "2s", "--canary", "1", "--bake", "1h")
    first = appd.ok("reload", "web", "--no-wait").stdout.strip()
    find: Callable[[], int] = lambda: next(
        (w["pid"] for w in appd.workers("web") if (w["rollout"], w["state"]) == ("2", "READY")), 0
    )
    canary = wait_until(find, "the canary serves", 30)
    one = Upload(tmp_path / "web" / "gate")
    one.begin(appd, port, canary)
    second = appd.ok("reload", "web", "--no-wait").stdout.strip()
    note = events.wait_for(lambda event: "1 request in hand" in event.get("note", {}).get("text", ""), "the note")
    assert "(graceful_timeout)" in note["note"]["text"]
    assert "cut" not in operation_of(appd, first)
    wait_until(lambda: operation_of(appd, second).get("cut", {}).get("requests") == 1, "it is counted")
    appd.ok("delete", "web")
