"""Preloading: imported once and forked when that is safe, found out and said when it is not."""

from pathlib import Path

import pytest

from harness import http, processes
from harness.appd import DONE, Appd
from harness.apps import copy_example, write_app

# Says in which process the module was imported.
IMPORTED_IN = """
import os
IMPORTED_IN = os.getpid()

def where(environ, start_response):
    body = f"{IMPORTED_IN} {os.getpid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

UNSAFE = {
    "thread": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
    "connected_socket": "import socket\nKEPT = socket.socketpair()\n"
    "LISTENER = socket.create_server(('127.0.0.1', 0))\n"
    "CLIENT = socket.create_connection(LISTENER.getsockname())",
}


def imported_in(port: int) -> tuple[int, int]:
    imported, serves = http.request(port).text.split()
    return int(imported), int(serves)


def test_auto_imports_once_and_forks(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra=IMPORTED_IN)
    appd.create("web", folder, port, "--workers", "3", app="wsgi:where").expect(DONE)
    observed = appd.observed("web")
    assert observed["preloaded"] is True and observed["preload_note"] == ""
    imported, serves = imported_in(port)
    assert serves in appd.ready_pids("web")
    worker = processes.process(serves)
    assert worker is not None and worker.parent == imported, "imported in the zygote, their parent"


@pytest.mark.parametrize("kind", UNSAFE)
def test_auto_finds_out_what_must_not_be_forked(appd: Appd, port: int, tmp_path: Path, kind: str) -> None:
    folder = write_app(tmp_path / "web", extra=IMPORTED_IN + UNSAFE[kind])
    appd.create("web", folder, port, "--workers", "3", app="wsgi:where").expect(DONE)
    observed = appd.observed("web")
    assert observed["preloaded"] is False
    assert kind.split("_")[-1] in observed["preload_note"], observed["preload_note"]
    imported, serves = imported_in(port)
    assert imported == serves, "the worker has imported it for itself"
    events = appd.ok("events", "web", "-o", "json").stdout
    assert observed["preload_note"] in appd.ok("get", "web").stdout or events
    assert len(appd.ready_pids("web")) == 3


def test_on_forks_whatever_the_import_left_behind(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra=IMPORTED_IN + UNSAFE["thread"])
    appd.create("web", folder, port, "--preload", "on", app="wsgi:where").expect(DONE)
    assert appd.observed("web")["preloaded"] is True
    imported, serves = imported_in(port)
    assert imported != serves


def test_off_imports_in_every_worker(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra=IMPORTED_IN)
    appd.create("web", folder, port, "--workers", "2", "--preload", "off", app="wsgi:where").expect(DONE)
    assert appd.observed("web")["preloaded"] is False
    imported, serves = imported_in(port)
    assert imported == serves


def test_unsafe_app_scales_and_reloads_like_any_other(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra=UNSAFE["thread"])
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    appd.ok("scale", "web", "--workers", "6")
    assert len(appd.ready_pids("web")) == 6
    write_app(folder, version="2", extra=UNSAFE["thread"])
    appd.ok("reload", "web")
    assert http.request(port, "/version").text == "2"


def test_warmup_paths_are_requested_before_the_first_fork(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = """
import os
SEEN = []

def warm(environ, start_response):
    SEEN.append(f"{os.getpid()}:{environ['PATH_INFO']}?{environ['QUERY_STRING']}")
    body = " ".join(SEEN).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--warmup-path", "/one", "--warmup-path", "/two?x=1", app="wsgi:warm").expect(DONE)
    first, second, own = http.request(port, "/now").text.split()
    assert first.split(":")[1] == "/one?" and second.split(":")[1] == "/two?x=1"
    assert first.split(":")[0] == second.split(":")[0] != own.split(":")[0]


def test_warmup_path_that_fails_does_not_keep_the_app_from_starting(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.expect_error(".")
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--warmup-path", "/raise").expect(DONE)
    assert http.request(port).text == "hello"


# An ASGI app that shows what it was asked for and where; `{before}` happens within each request.
WARM_ASGI = """
import asyncio, os, threading

SEEN = []
KEPT = []
STARTED_IN = []
LOCK = asyncio.Lock()

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        STARTED_IN.append(os.getpid())
        await receive()
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        return await send({{"type": "lifespan.shutdown.complete"}})
    assert await receive() == {{"type": "http.request", "body": b"", "more_body": False}}
    if scope["query_string"] != b"quiet":
        {before}
    SEEN.append(f"{{os.getpid()}}:{{scope['root_path']}}:{{scope['path']}}:{{scope['query_string'].decode()}}")
    body = " ".join([*SEEN, *(f"started:{{pid}}" for pid in STARTED_IN)]).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({{"type": "http.response.start", "status": 200, "headers": [length]}})
    await send({{"type": "http.response.body", "body": body}})
    if len(SEEN) < 2:
        assert (await receive())["type"] == "http.disconnect"
"""

LEFT_BEHIND = {
    "task": ("KEPT.append(asyncio.create_task(asyncio.sleep(3600)))", "left 1 task running (sleep)"),
    "future": ("KEPT.append(asyncio.get_running_loop().create_future())", "belongs to their event loop (Future)"),
    "lock": ("await asyncio.gather(contend(), contend())", "belongs to their event loop (Lock)"),
    "thread": ("threading.Thread(target=threading.Event().wait, daemon=True).start()", "1 thread running"),
    "socket": ("KEPT.append(connected())", "left a socket connected to"),
}
LEAVING = """
import socket

async def contend():
    async with LOCK:
        await asyncio.sleep(0.01)

def connected():
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, socket.create_connection(listener.getsockname())
"""


def warm_asgi(folder: Path, before: str = "await asyncio.sleep(0)") -> Path:
    return write_app(folder, source=WARM_ASGI.format(before=before) + LEAVING)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_warmup_paths_are_requested_from_asgi_apps_without_their_lifespan(
    appd: Appd, port: int, tmp_path: Path, loop: str
) -> None:
    folder = warm_asgi(tmp_path / "web", "await asyncio.to_thread(SEEN.count, 0)")
    options = ("--loop", loop, "--root-path", "/shop", "--warmup-path", "/one", "--warmup-path", "/%C3%BC?x=1")
    appd.create("web", folder, port, *options).expect(DONE)
    observed = appd.observed("web")
    assert observed["preloaded"] is True and observed["preload_note"] == ""
    first, second, own, started = http.request(port, "/now").text.split()
    assert first.split(":")[1:] == ["/shop", "/shop/one", ""]
    assert second.split(":")[1:] == ["/shop", "/shop/ü", "x=1"]
    assert first.split(":")[0] == second.split(":")[0] != own.split(":")[0]
    assert started.split(":")[1] == own.split(":")[0], "only in the worker"


@pytest.mark.parametrize("kind", LEFT_BEHIND)
def test_asgi_app_whose_warmup_leaves_something_of_its_loop_is_not_forked(
    appd: Appd, port: int, tmp_path: Path, kind: str
) -> None:
    before, note = LEFT_BEHIND[kind]
    appd.create("web", warm_asgi(tmp_path / "web", before), port, "--warmup-path", "/").expect(DONE)
    observed = appd.observed("web")
    assert observed["preloaded"] is False
    assert observed["preload_note"].startswith("the warm-up requests left") and note in observed["preload_note"]
    own, _ = http.request(port, "/now?quiet").text.split()
    assert own.split(":")[2] == "/now", "the worker's own copy has seen nothing else"


def test_preload_on_forks_after_any_warmup_and_says_what_is_wrong_with_it(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = warm_asgi(tmp_path / "web", LEFT_BEHIND["lock"][0])
    appd.create("web", folder, port, "--preload", "on", "--warmup-path", "/").expect(DONE)
    assert appd.observed("web")["preloaded"] is True
    log = Path(appd.observed("web")["log_path"]).read_text()
    assert "event=fork_hazard" in log and "belongs to their event loop (Lock)" in log


def test_asgi_warmup_path_that_fails_does_not_keep_the_app_from_starting(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = warm_asgi(tmp_path / "web", 'raise SystemExit("cold")')
    appd.create("web", folder, port, "--warmup-path", "/bad", "--warmup-path", "/good?quiet").expect(DONE)
    assert appd.observed("web")["preloaded"] is True
    good, own, _ = http.request(port, "/now?quiet").text.split()
    assert good.split(":")[2:] == ["/good", "quiet"] and own.split(":")[2] == "/now"
    log = Path(appd.observed("web")["log_path"]).read_text()
    assert "event=warm_up_failed path='/bad'" in log and "SystemExit: cold" in log


@pytest.mark.parametrize(
    ("example", "app", "path"),
    [("django_site", "asgi:application", "/plain"), ("fastapi_notes", "main:app", "/openapi.json"), ("websocket_game", "app:app", "/")],
)
def test_real_asgi_apps_are_forked_after_their_warmup(
    appd: Appd, port: int, tmp_path: Path, example: str, app: str, path: str
) -> None:
    folder = copy_example(example, tmp_path / "app")
    appd.create("web", folder, port, "--workers", "2", "--warmup-path", path, app=app).expect(DONE)
    observed = appd.observed("web")
    assert observed["preloaded"] is True, observed["preload_note"]
    assert "warm_up_failed" not in Path(observed["log_path"]).read_text()
    for _ in range(10):
        assert http.request(port, path).status == 200


def test_random_numbers_differ_between_forks(appd: Appd, port: int, tmp_path: Path) -> None:
    source = """
import os, random, tempfile, uuid

def app(environ, start_response):
    body = f"{os.getpid()} {random.random()} {next(tempfile._get_candidate_names())} {uuid.uuid4()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("Connection", "close")])
    return [body]
"""
    appd.create("web", write_app(tmp_path / "web", source=source), port, "--workers", "4").expect(DONE)
    first: dict[str, list[str]] = {}
    for _ in range(400):
        pid, *values = http.request(port).text.split()
        first.setdefault(pid, values)
        if len(first) == 4:
            break
    for column in zip(*first.values(), strict=True):
        assert len(set(column)) == len(first), column
