"""Preloading: imported once and forked when that is safe, found out and said when it is not."""

from pathlib import Path

import pytest

from harness import http, processes
from harness.appd import DONE, Appd
from harness.apps import write_app

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
