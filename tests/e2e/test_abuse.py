"""Abuse of the API by those who may connect: refused with the right code, nothing changed, appd well."""

import importlib
import os
import random
import signal
import socket
import threading
import uuid
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness import http, http2, processes
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.foreign import STUBS, TIMEOUT, Foreign, Refusal, refused
from harness.ports import free_port
from harness.waiting import wait_until

from appd.v1 import apps_pb2, events_pb2, logs_pb2, operations_pb2, stats_pb2, system_pb2, workers_pb2
from google.protobuf import duration_pb2, field_mask_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message

SEED = int(os.environ.get("APPD_SEED", "1"))
SMALL, ONCE = 64 * 1024, 1024 * 1024  # what appd takes as one message
# What appd may have in memory more than before, whatever comes on its 256 connections.
MEMORY_SLACK_KB = 128 * 1024


@pytest.fixture
def appd(idle_appd: Appd) -> Appd:
    """One that takes as many changes as come; test_tokens has what becomes of too many."""
    return idle_appd.start("--change-rate", "0")


@pytest.fixture
def client(appd: Appd) -> Iterator[Foreign]:
    with Foreign(appd.address) as one:
        yield one


@pytest.fixture
def web(client: Foreign, tmp_path: Path) -> apps_pb2.App:
    """An app that does not run: what changes is what somebody has changed."""
    return client.apps.CreateApp(create_request("web", write_app(tmp_path / "web")), timeout=TIMEOUT)


def create_request(name: str, folder: Path) -> apps_pb2.CreateAppRequest:
    spec = apps_pb2.AppSpec(
        directory=str(folder), app="wsgi:app", bind=[f"127.0.0.1:{free_port()}"], run_mode=apps_pb2.AppSpec.STOPPED
    )
    return apps_pb2.CreateAppRequest(app_id=name, app=apps_pb2.App(spec=spec))


def wishes(client: Foreign) -> dict[str, bytes]:
    """All that users have set, of every app."""
    apps = client.apps.ListApps(apps_pb2.ListAppsRequest(page_size=1000), timeout=TIMEOUT).apps
    return {
        app.name: apps_pb2.App(
            uid=app.uid, etag=app.etag, generation=app.generation, revision=app.revision, spec=app.spec
        ).SerializeToString(deterministic=True)
        for app in apps
    }


def operations(client: Foreign) -> list[str]:
    request = operations_pb2.ListOperationsRequest(page_size=1000)
    return [one.name for one in client.operations.ListOperations(request, timeout=TIMEOUT).operations]


# --- the same request again ---------------------------------------------------------------------


def test_a_request_id_has_one_effect_and_belongs_to_one_request(
    client: Foreign, web: apps_pb2.App, tmp_path: Path
) -> None:
    name = "apps/web"
    spec = apps_pb2.AppSpec(threads=3)
    changes: list[tuple[Any, Message]] = [
        (client.apps.CreateApp, create_request("other", tmp_path / "web")),
        (client.apps.UpdateApp, apps_pb2.UpdateAppRequest(app=apps_pb2.App(name=name, spec=spec))),
        (client.apps.ScaleApp, apps_pb2.ScaleAppRequest(name=name, workers=2)),
        (client.apps.RollbackApp, apps_pb2.RollbackAppRequest(name=name, revision=1)),
        (client.apps.DeleteApp, apps_pb2.DeleteAppRequest(name="apps/other")),
    ]
    for call, request in changes:
        request.request_id = str(uuid.uuid4())
        first = call(request, timeout=TIMEOUT)
        wait_until(lambda: not open_operations(client), "it has come to its end")
        known, state = operations(client), wishes(client)
        for _ in range(3):
            assert call(request, timeout=TIMEOUT).name == first.name
        assert (operations(client), wishes(client)) == (known, state), f"{request.DESCRIPTOR.name} has a second effect"
        # Whoever takes the id for something else is told, and nothing is done.
        other = type(request)()
        other.CopyFrom(request)
        other.reason = "another one"
        for fresh, thief in ((call, other), (client.apps.ReloadApp, reload_with(request.request_id))):
            refusal = refused(fresh, thief)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
        assert (operations(client), wishes(client)) == (known, state)


def reload_with(request_id: str) -> apps_pb2.ReloadAppRequest:
    return apps_pb2.ReloadAppRequest(name="apps/web", request_id=request_id)


def open_operations(client: Foreign) -> list[str]:
    request = operations_pb2.ListOperationsRequest(page_size=1000)
    return [one.name for one in client.operations.ListOperations(request, timeout=TIMEOUT).operations if not one.done]


def test_a_worker_is_replaced_once_for_each_request_id(appd: Appd, client: Foreign, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), free_port(), "--workers", "2").expect(DONE)
    before = appd.ready_pids("web")
    request = workers_pb2.RecycleWorkerRequest(name="apps/web/workers/1", request_id=str(uuid.uuid4()))
    first = client.workers.RecycleWorker(request, timeout=TIMEOUT)
    wait_until(lambda: len(now := appd.ready_pids("web")) == 2 and now != before, "it is replaced", 30)
    after = appd.ready_pids("web")
    assert first.pid not in after and len(after & before) == 1
    # Perhaps somebody else has the number by now.
    for _ in range(3):
        again = client.workers.RecycleWorker(request, timeout=TIMEOUT)
        assert (again.name, again.state) == (request.name, workers_pb2.Worker.EXITED)
    request.reason = "another one"
    assert refused(client.workers.RecycleWorker, request).reason == "REQUEST_ID_REUSED"
    assert appd.ready_pids("web") == after
    assert appd.observed("web")["recycled_workers"] == "1"


# --- too much -----------------------------------------------------------------------------------


def test_a_message_that_is_too_long_is_refused_and_changes_nothing(
    appd: Appd, client: Foreign, web: apps_pb2.App
) -> None:
    before, memory = wishes(client), processes.resident_kb(appd.pid)
    for size in (ONCE + SMALL, 4 * ONCE + 1, 15 * ONCE, 17 * ONCE):
        app = apps_pb2.App(name="apps/web", spec=apps_pb2.AppSpec(env={"A": "x" * size}))
        request = apps_pb2.UpdateAppRequest(app=app)
        refusal = refused(client.apps.UpdateApp, request)
        assert refusal.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        if size <= 16 * ONCE:  # beyond that the error is gRPC's own
            assert refusal.reason == "MESSAGE_TOO_LONG"
            assert refusal.metadata == {"size": str(request.ByteSize()), "limit": str(ONCE)}
    assert wishes(client) == before
    assert processes.resident_kb(appd.pid) < memory + MEMORY_SLACK_KB


def test_a_message_that_would_unfold_is_not_unfolded(appd: Appd, web: apps_pb2.App) -> None:
    """A megabyte of gzip is a gigabyte of zeros."""
    memory = processes.peak_kb(appd.pid)
    with grpc.insecure_channel(appd.address, compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary("/appd.v1.Apps/GetApp", request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as refusal:
            call(b"\x0a" + bytes(512 * ONCE), timeout=TIMEOUT)
        assert refusal.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert processes.peak_kb(appd.pid) < memory + MEMORY_SLACK_KB


def test_a_thousand_connections_that_say_nothing_keep_nobody_out(
    appd: Appd, client: Foreign, web: apps_pb2.App
) -> None:
    before, memory = wishes(client), processes.resident_kb(appd.pid)
    with ExitStack() as stack:
        for number in range(1000):
            silent = stack.enter_context(http2.open_connection(appd.socket_path))
            if number % 2:  # and some who never come to the end of their first word
                silent.sendall(http2.PREFACE[: number % len(http2.PREFACE)])
        with Foreign(appd.address) as late:
            assert wishes(late) == before
        assert wishes(client) == before, "nor is anybody shown out who is in"
        assert len(processes.open_files(appd.pid)) < appd.baseline_descriptors + 256
    assert processes.resident_kb(appd.pid) < memory + MEMORY_SLACK_KB


def say_hello(appd: Appd) -> socket.socket:
    """As a client of HTTP/2 does before its first call."""
    client = http2.open_connection(appd.socket_path)
    client.sendall(http2.PREFACE + http2.frame(http2.SETTINGS))
    return client


def ask_once(client: socket.socket) -> None:
    """A call that is answered to its end, after which its caller goes on to be there."""
    request = http2.call("/appd.v1.System/GetServerInfo", 1) + http2.message(b"", 1)
    client.sendall(http2.frame(http2.SETTINGS, flags=http2.ACK) + request)
    seen = b""
    while b"grpc-status" not in seen:
        data = client.recv(65536)
        assert data, seen
        seen += data


@pytest.mark.parametrize("asks", [False, True])
def test_a_thousand_clients_that_do_nothing_make_way(appd: Appd, client: Foreign, web: apps_pb2.App, asks: bool) -> None:
    """Whether or not they have done something once."""
    before = wishes(client)
    watch = client.events.Watch(events_pb2.WatchRequest(app="apps/web"), timeout=600)
    assert next(watch).app.name == "apps/web"
    with ExitStack() as stack:
        with Foreign(appd.address) as idle:
            assert wishes(idle) == before
            crowd = []
            for _ in range(1000):
                crowd.append(stack.enter_context(say_hello(appd)))
                if asks:
                    ask_once(crowd[-1])
            with Foreign(appd.address) as late:
                assert wishes(late) == before
            assert wishes(idle) == before, "who had to make way comes back by itself"
        last_words = http.read_to_end(crowd[0])
        assert http2.frame(http2.GOAWAY, bytes(8)) in last_words, "who has made way was told so"
        scale = apps_pb2.ScaleAppRequest(name="apps/web", workers=3)
        client.apps.ScaleApp(scale, timeout=TIMEOUT)
        wait_until(lambda: next(watch).app.spec.workers == 3, "who has a call in hand is not shown out")
        watch.cancel()


class Crowd:
    """Clients that come one after the other when they are told to, each with one call, and stay."""

    def __init__(self, appd: Appd) -> None:
        self.appd = appd
        self.told, self.came = 0, 0
        self.news = threading.Condition()
        self.leaving = False
        self.thread = threading.Thread(target=self._come)

    def __enter__(self) -> "Crowd":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self.news:
            self.leaving = True
            self.news.notify_all()
        self.thread.join()

    def _come(self) -> None:
        there: deque[socket.socket] = deque()
        while True:
            with self.news:
                self.news.wait_for(lambda: self.leaving or self.came < self.told)
                if self.leaving:
                    break
            there.append(say_hello(self.appd))
            ask_once(there[-1])
            if len(there) > 300:
                there.popleft().close()
            with self.news:
                self.came += 1
                self.news.notify_all()
        for one in there:
            one.close()

    def tell(self, more: int) -> None:
        with self.news:
            self.told += more
            self.news.notify_all()

    def wait(self, but: int = 0) -> None:
        """Until all have come, but so many."""
        with self.news:
            assert self.news.wait_for(lambda: self.came >= self.told - but, 60)


def test_no_call_fails_because_its_client_has_to_make_way(appd: Appd, web: apps_pb2.App) -> None:
    """A client is shown out again and again, by the 256th behind it: shortly before its next call, or just then."""
    chance = random.Random(SEED)
    with Foreign(appd.address) as client, Crowd(appd) as crowd:
        before = wishes(client)
        for _ in range(60):
            crowd.tell(262)
            crowd.wait(but=chance.randrange(13))
            assert wishes(client) == before
            crowd.wait()


def test_calls_whose_message_never_comes_hold_up_nobody(appd: Appd, client: Foreign, web: apps_pb2.App) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            silent = stack.enter_context(say_hello(appd))
            silent.sendall(b"".join(http2.call("/appd.v1.Apps/ListApps", stream) for stream in range(1, 101, 2)))
        assert list(wishes(client)) == ["apps/web"]
        appd.stop()  # which fails if appd does not end


def test_who_comes_while_appd_is_busy_finds_room(appd: Appd, web: apps_pb2.App) -> None:
    """gRPC's clients do not wait in connect(2) and give up when a unix socket's queue is full."""
    with ExitStack() as stack:
        os.kill(appd.pid, signal.SIGSTOP)
        stack.callback(os.kill, appd.pid, signal.SIGCONT)
        for _ in range(1000):
            one = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            one.connect(str(appd.socket_path))
        os.kill(appd.pid, signal.SIGCONT)
        with Foreign(appd.address) as late:
            assert list(wishes(late)) == ["apps/web"]


def test_more_streams_than_one_connection_may_have_wait_their_turn(client: Foreign, web: apps_pb2.App) -> None:
    """gRPC's clients keep to what the server allows; the others' turn comes when some have ended."""
    watches = [client.events.Watch(events_pb2.WatchRequest(), timeout=60) for _ in range(150)]
    for watch in watches[:100]:
        assert next(watch).app.name == "apps/web"
    for watch in watches[:100]:
        watch.cancel()
    for watch in watches[100:]:
        assert next(watch).app.name == "apps/web"
        watch.cancel()


# --- bytes that are no HTTP/2 -------------------------------------------------------------------


def malformed(random_: random.Random) -> dict[str, bytes]:
    """What may come behind the preface."""
    settings = http2.frame(http2.SETTINGS)
    call = http2.call("/appd.v1.Apps/ListApps", 1)
    huge = http2.field("x-huge", b"y" * 60_000)
    kept = b"\x40\x06x-%04d\x64" + b"z" * 100  # a field with incremental indexing
    table = b"".join(kept % number for number in range(100))
    return {
        "noise": random_.randbytes(5000),
        "a frame longer than allowed": settings + http2.frame(http2.DATA, b"x" * 100, 1, length=0xFFFFFF),
        "a length that never comes": settings + http2.frame(http2.HEADERS, b"x", 1, length=16_000),
        "data on a stream that there is not": settings + http2.frame(http2.DATA, b"x", 7),
        "data on stream 0": settings + http2.frame(http2.DATA, b"x", 0),
        "headers on stream 0": settings + http2.frame(http2.HEADERS, b"x", 0, http2.END_HEADERS),
        "headers on an even stream": settings + http2.call("/appd.v1.Apps/ListApps", 2),
        "headers that are none": settings + http2.frame(http2.HEADERS, random_.randbytes(500), 1, http2.END_HEADERS),
        "an index beyond the table": settings + http2.frame(http2.HEADERS, b"\xff\xff\xff\x7f", 1, http2.END_HEADERS),
        "a continuation of nothing": settings + http2.frame(http2.CONTINUATION, b"x", 1),
        "continuations without end": settings
        + http2.frame(http2.HEADERS, b"", 1)
        + b"".join(http2.frame(http2.CONTINUATION, http2.field("x-more", b"y" * 1000), 1) for _ in range(1000)),
        "headers beyond every limit": settings
        + http2.frame(http2.HEADERS, b"", 1)
        + b"".join(http2.frame(http2.CONTINUATION, huge[n : n + 16_000], 1) for n in range(0, len(huge), 16_000)) * 4,
        "a table that is filled again and again": settings
        + b"".join(http2.frame(http2.HEADERS, table, stream, http2.END_HEADERS) for stream in range(1, 41, 2)),
        "settings of a wrong length": http2.frame(http2.SETTINGS, b"abc"),
        "settings of a flood": http2.frame(http2.SETTINGS, bytes([0, 4, 0, 0, 255, 255])) * 5000,
        "pings of a flood": settings + http2.frame(http2.PING, b"12345678") * 5000,
        "empty data of a flood": settings + call + http2.frame(http2.DATA, b"", 1) * 20_000,
        "a window that is opened by nothing": settings + call + http2.frame(http2.WINDOW_UPDATE, bytes(4), 1),
        "a window that is too wide": settings
        + http2.frame(http2.WINDOW_UPDATE, bytes([127, 255, 255, 255]))
        + http2.frame(http2.WINDOW_UPDATE, bytes([127, 255, 255, 255])),
        "a stream that is ended before it began": settings + http2.frame(http2.RST_STREAM, bytes(4), 9),
        "streams begun and ended": settings
        + b"".join(
            http2.call("/appd.v1.Apps/ListApps", stream) + http2.frame(http2.RST_STREAM, bytes([0, 0, 0, 8]), stream)
            for stream in range(1, 8001, 2)
        ),
        "a promise": settings + http2.frame(http2.PUSH_PROMISE, bytes(4), 1, http2.END_HEADERS),
        "padding that is longer than its frame": settings + call + http2.frame(http2.DATA, b"\xffabc", 1, http2.PADDED),
        "a frame that nobody knows": settings + http2.frame(0xEE, random_.randbytes(100), 1),
        "a call of no method": settings + http2.call("/", 1) + http2.message(b"", 1),
        "a message that is longer than it says": settings + call + http2.frame(http2.DATA, b"\0\0\0\0\1abcdef", 1, 1),
        "a message that is compressed by nothing": settings + call + http2.frame(http2.DATA, b"\1\0\0\0\1a", 1, 1),
        "a message that never comes": settings + call + http2.frame(http2.DATA, b"\0\xff\xff\xff\xff", 1),
    }


def test_bytes_that_are_no_http2_harm_nobody(appd: Appd, client: Foreign, web: apps_pb2.App) -> None:
    chance = random.Random(SEED)
    before, memory = wishes(client), processes.resident_kb(appd.pid)
    with http2.open_connection(appd.socket_path) as other:
        other.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert http.read_to_end(other) == b"", "who speaks another protocol is shown out"
    with ExitStack() as stack:
        for name, data in malformed(chance).items():
            sender = stack.enter_context(http2.open_connection(appd.socket_path, timeout=5))
            http2.send_all(sender, http2.PREFACE + data)
            assert wishes(client) == before, name
        for _ in range(200):
            sender = stack.enter_context(http2.open_connection(appd.socket_path, timeout=5))
            http2.send_all(sender, chance.choice([b"", http2.PREFACE]) + chance.randbytes(chance.randrange(1, 2000)))
        with Foreign(appd.address) as late:
            assert wishes(late) == before
    assert appd.running
    assert processes.resident_kb(appd.pid) < memory + MEMORY_SLACK_KB


# --- messages that are none ---------------------------------------------------------------------

# A method's request with everything in it that may be meant, so that what is bent is nearly right. Of one that is
# not here an empty request is bent.
RIGHT: dict[str, Callable[[Path, str], Message]] = {
    "Apps/CreateApp": lambda folder, _: create_request("fresh", folder),
    "Apps/GetApp": lambda *_: apps_pb2.GetAppRequest(name="apps/web"),
    "Apps/ListApps": lambda *_: apps_pb2.ListAppsRequest(page_size=2, page_token="61"),
    "Apps/UpdateApp": lambda *_: apps_pb2.UpdateAppRequest(
        app=apps_pb2.App(name="apps/web", spec=apps_pb2.AppSpec(threads=2, env={"A": "b"}, timeout={"seconds": 3})),
        update_mask=field_mask_pb2.FieldMask(paths=["spec.threads", "spec.env.A", "spec.timeout"]),
        allow_missing=True,
    ),
    "Apps/DeleteApp": lambda *_: apps_pb2.DeleteAppRequest(name="apps/victim", allow_missing=True),
    "Apps/ScaleApp": lambda *_: apps_pb2.ScaleAppRequest(name="apps/web", workers=3, threads=2, worker_class="gthread"),
    "Apps/ReloadApp": lambda *_: apps_pb2.ReloadAppRequest(name="apps/web", reason="r"),
    "Apps/RollbackApp": lambda *_: apps_pb2.RollbackAppRequest(name="apps/web", revision=1),
    "Apps/ListRevisions": lambda *_: apps_pb2.ListRevisionsRequest(parent="apps/web", page_size=3),
    "Workers/GetWorker": lambda *_: workers_pb2.GetWorkerRequest(name="apps/web/workers/1"),
    "Workers/ListWorkers": lambda *_: workers_pb2.ListWorkersRequest(parent="apps/-", page_size=1),
    "Workers/GetDeath": lambda *_: workers_pb2.GetDeathRequest(name="apps/web/deaths/1"),
    "Workers/ListDeaths": lambda *_: workers_pb2.ListDeathsRequest(parent="apps/web", view=2),
    "Workers/DumpStacks": lambda *_: workers_pb2.DumpStacksRequest(name="apps/web/workers/1"),
    "Workers/RecycleWorker": lambda *_: workers_pb2.RecycleWorkerRequest(name="apps/web/workers/1"),
    "Operations/GetOperation": lambda _, operation: operations_pb2.GetOperationRequest(name=operation),
    "Operations/ListOperations": lambda *_: operations_pb2.ListOperationsRequest(app="apps/web", page_size=1),
    "Operations/WaitOperation": lambda _, operation: operations_pb2.WaitOperationRequest(
        name=operation, timeout=duration_pb2.Duration(seconds=1)
    ),
    "Operations/CancelOperation": lambda _, operation: operations_pb2.CancelOperationRequest(name=operation),
    "Logs/ReopenLogs": lambda *_: logs_pb2.ReopenLogsRequest(name="apps/-"),
    "System/GetServerInfo": lambda *_: system_pb2.GetServerInfoRequest(),
    "System/SetLogLevel": lambda *_: system_pb2.SetLogLevelRequest(level="info"),
    "System/Upgrade": lambda *_: system_pb2.UpgradeRequest(binary="/nowhere"),
    "System/Shutdown": lambda *_: system_pb2.ShutdownRequest(keep_apps=True),
    "Events/Watch": lambda *_: events_pb2.WatchRequest(start_revision=1, app="apps/web"),
    "Logs/ReadLogs": lambda *_: logs_pb2.ReadLogsRequest(
        name="apps/web", tail=3, contains="a", matches="b+", after="c"
    ),
    "Stats/WatchStats": lambda *_: stats_pb2.WatchStatsRequest(app="apps/web", interval={"seconds": 1}),
}
# Those that must not be done get a request_id that is none, behind all else (field 2 of both).
NEVER = {"System/Upgrade", "System/Shutdown"}
NO_ID = b"\x12\x01?"
LOOKS = ("Get", "List", "Wait", "Watch", "Read", "Dump", "SetLogLevel", "Reopen")
ROUNDS = 150
# Interesting to whoever reads numbers, lengths and names.
ODD_BYTES = [b"", b"\0", b"\xff" * 10, b"\x80" * 11, b"/", b"apps/", b"apps/-", b"..", b"%s%n"]
ODD_BYTES += [b"\xc3\x28", b"\x1b[2J", b"A" * 300]


ODD_TEXTS = ["", "x", "apps/web", "apps/", "apps/-", "apps/web/workers/1", "W/\"1\"", "\u00e9\n\x1b[2J", ".."]
ODD_TEXTS += ["spec.threads", "*", "0022", "gthread", "on", "/", "127.0.0.1:0", "unix:relative", "-1", "A" * 5000]
ODD_NUMBERS = [-1, 0, 1, 2, 3, 5000, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]


def methods() -> dict[str, MethodDescriptor]:
    """All that there are, those that this file does not know yet too."""
    files = [importlib.import_module(f"appd.v1.{file.stem}") for file in sorted((STUBS / "appd/v1").glob("*_pb2.py"))]
    return {
        f"{service.name}/{method.name}": method
        for file in files
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def twist(message: Message, chance: random.Random) -> None:
    """Puts odd values into some of its fields."""
    for field in message.DESCRIPTOR.fields:
        if chance.random() > 0.3:
            continue
        if field.label == field.LABEL_REPEATED:
            values = getattr(message, field.name)
            if field.message_type is None:
                values.append(odd_value(field, chance))
            elif field.message_type.GetOptions().map_entry:
                values[chance.choice(ODD_TEXTS)] = chance.choice(ODD_TEXTS)
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            twist(getattr(message, field.name), chance)
        else:
            setattr(message, field.name, odd_value(field, chance))


def odd_value(field: FieldDescriptor, chance: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            return chance.choice(ODD_TEXTS)
        case FieldDescriptor.CPPTYPE_BOOL:
            return chance.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return chance.choice([float("nan"), float("inf"), -1.0, 0.0, 1e300])
        case FieldDescriptor.CPPTYPE_INT64:
            return chance.choice(ODD_NUMBERS)
        case _:
            return chance.choice([number for number in ODD_NUMBERS if -(2**31) <= number < 2**31])


def odd_message(method: MethodDescriptor, right: bytes, chance: random.Random) -> bytes:
    """One of three kinds: odd values, bent bytes, noise."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(200))
    if kind == 1:
        return bend(right, chance)
    message = parse(method, right)
    twist(message, chance)
    return message.SerializeToString()


def bend(message: bytes, chance: random.Random) -> bytes:
    """Something like it."""
    data = bytearray(message)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at:at] = chance.choice(ODD_BYTES)
            case 2:
                del data[at : at + chance.randrange(1, 8)]
            case 3:
                data += data[at:]  # fields come twice
            case 4:
                del data[at:]
            case _:
                data[at : at + 2] = chance.randbytes(2)
    return bytes(data)


def parse(method: MethodDescriptor, data: bytes) -> Any:
    """None if it is no message of that type, or one with something behind it."""
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            message = method.input_type._concrete_class.FromString(data)
    except DecodeError:
        return None
    return None if said else message


def test_messages_that_are_bent_are_answered_and_change_nothing_that_was_not_granted(
    appd: Appd, client: Foreign, web: apps_pb2.App, tmp_path: Path
) -> None:
    print(f"APPD_SEED={SEED}")
    chance = random.Random(SEED)
    assert methods().keys() >= RIGHT.keys()
    state, seen = wishes(client), Counter[str]()
    for name, method in methods().items():
        is_stream = method.server_streaming
        right = b""
        if name in RIGHT:
            right = RIGHT[name](tmp_path / "web", web.operation).SerializeToString()
        bare = client.channel.unary_stream if is_stream else client.channel.unary_unary
        call = bare(f"/appd.v1.{name}", request_serializer=bytes, response_deserializer=bytes)
        for number in range(ROUNDS):
            data = odd_message(method, right, chance)
            if name in NEVER:
                data += NO_ID
                if (request := parse(method, data)) is None or request.request_id != "?":
                    continue
            code, reason, text = answer_of(call, data, is_stream)
            seen[reason or code.name] += 1
            assert code in expected_codes(name, is_stream), (name, data, code, text)
            assert reason or code in (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED), (name, data, code, text)
            assert reason != "MESSAGE_UNREADABLE" or parse(method, data) is None, (name, data, text)
            assert appd.running, (name, data)
            granted = code == grpc.StatusCode.OK and not method.name.startswith(LOOKS)
            assert name not in NEVER or code != grpc.StatusCode.OK
            if granted:
                wait_until(lambda: not open_operations(client), "what was granted has come to its end", 60)
                state = wishes(client)
            elif number % 10 == 9 or not is_stream:
                assert wishes(client) == state, (name, data, code)
    print(dict(seen))
    assert 0 < seen["MESSAGE_UNREADABLE"] < seen.total() / 2, "most of them are messages"


def expected_codes(name: str, is_stream: bool) -> set[grpc.StatusCode]:
    code = grpc.StatusCode
    known = {code.OK, code.INVALID_ARGUMENT, code.NOT_FOUND, code.ALREADY_EXISTS, code.ABORTED}
    known |= {code.FAILED_PRECONDITION, code.OUT_OF_RANGE}
    # We give up what waits, or goes on for ever.
    return known | ({code.DEADLINE_EXCEEDED} if is_stream or name == "Operations/WaitOperation" else set())


def answer_of(call: Any, data: bytes, is_stream: bool) -> tuple[grpc.StatusCode, str, str]:
    """The code, the reason, the message."""
    try:
        if not is_stream:
            call(data, timeout=TIMEOUT)
            return grpc.StatusCode.OK, "", ""
        stream = call(data, timeout=1)
        next(stream, None)
        stream.cancel()
        return grpc.StatusCode.OK, "", ""
    except grpc.RpcError as error:
        refusal = Refusal(error)
        return refusal.code, refusal.reason, refusal.message


def test_methods_that_there_are_not_are_unimplemented(client: Foreign) -> None:
    for path in ("/appd.v1.Apps/Nothing", "/appd.v2.Apps/GetApp", "/", "/a/b/c", "//"):
        call = client.channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as error:
            call(b"x", timeout=TIMEOUT)
        refusal = Refusal(error.value)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_UNKNOWN"), path
