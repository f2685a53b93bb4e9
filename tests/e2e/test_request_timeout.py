"""request_timeout in every class, and timeout: what is stuck, what is only old, and whose stacks are taken."""

import http.client
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from harness import http as web
from harness.appd import DONE, FAILED, Appd
from harness.apps import copy_app, write_app
from harness.waiting import wait_until

ASGI = '''
import asyncio, time
ended = []

async def app(scope, receive, send):
    assert scope["type"] == "http"
    path = scope["path"]
    if path == "/ended":
        return await answer(send, ",".join(ended))
    if path == "/block":
        time.sleep(600)
    try:
        if path == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        if path != "/":
            await deep_inside()
    except asyncio.CancelledError:
        ended.append(path)
        if path == "/stubborn":
            return await answer(send, "all the same")
        raise
    await answer(send, "hello")

async def deep_inside():
    await asyncio.sleep(600)

async def answer(send, text):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})
'''


def deaths(appd: Appd) -> list[dict[str, Any]]:
    return appd.ok("workers", "web", "--dead", "-o", "json").json.get("deaths", [])


def wait_for_death(appd: Appd, pid: int) -> dict[str, Any]:
    return wait_until(lambda: next((one for one in deaths(appd) if one["pid"] == pid), None), f"the certificate of {pid}")


def hang_up(port: int, path: str) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        web.request(port, path)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_coroutine_is_cancelled_and_its_client_gets_504(appd: Appd, port: int, tmp_path: Path, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    folder = write_app(tmp_path / "web", source=ASGI)
    appd.create("web", folder, port, "--loop", loop, "--request-timeout", "1s").expect(DONE)
    before = appd.ready_pids("web")
    answer = web.request(port, "/slow")
    assert (answer.status, answer.text) == (504, "Gateway Timeout\n")
    assert web.request(port, "/stubborn").status == 504, "whatever the app makes of it"
    with pytest.raises(http.client.IncompleteRead):
        web.request(port, "/stream")
    assert web.request(port, "/ended").text == "/slow,/stubborn,/stream"
    assert web.request(port).text == "hello"
    assert appd.ready_pids("web") == before
    assert deaths(appd) == []
    log = appd.app_logs()["logs/web.log"]
    assert "event=request_timeout" in log and 'path="/slow"' in log
    wait_until(lambda: appd.workers("web")[0]["busy"] == 0, "nothing is in hand")


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_greenlet_is_ended_and_its_client_gets_504(appd: Appd, port: int, tmp_path: Path, library: str) -> None:
    folder = copy_app("greenlets", tmp_path / "web")
    options = ("--worker-class", library, "--request-timeout", "1s")
    appd.create("web", folder, port, *options, app="greenlets:app").expect(DONE)
    before = appd.ready_pids("web")
    assert web.request(port, "/sleep?600").status == 504
    assert web.request(port).text == "hello"
    assert appd.ready_pids("web") == before
    assert deaths(appd) == []


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_greenlet_that_cannot_be_ended_costs_its_worker_its_life(
    appd: Appd, port: int, tmp_path: Path, library: str
) -> None:
    source = '''
import time
def app(environ, start_response):
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
'''
    folder = write_app(tmp_path / "web", source=source)
    appd.create("web", folder, port, "--worker-class", library, "--request-timeout", "1s").expect(DONE)
    (victim,) = appd.ready_pids("web")
    hang_up(port, "/immortal")
    death = wait_for_death(appd, victim)
    assert (death["cause"], death["limit"]) == ("REQUEST_TIMEOUT", "request_timeout")
    assert death["requests_in_hand"][0]["path"] == "/immortal"
    assert "wsgi.py" in death["stacks"], "the greenlet's stack"


def test_a_tornado_handler_is_left_alone_and_its_client_gets_504(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("native_tornado", tmp_path / "web")
    options = ("--worker-class", "tornado", "--request-timeout", "1s")
    appd.create("web", folder, port, *options, app="native_tornado:app").expect(DONE)
    before = appd.ready_pids("web")
    assert web.request(port, "/slow?s=600").status == 504
    assert web.request(port).text.startswith("hello")
    assert appd.ready_pids("web") == before


@pytest.mark.parametrize(
    ("worker_class", "threads"), [("sync", "1"), ("gthread", "4"), ("tornado", "1")]
)
def test_a_thread_can_only_be_ended_with_its_worker(
    appd: Appd, port: int, tmp_path: Path, worker_class: str, threads: str
) -> None:
    folder = write_app(tmp_path / "web")
    options = ("--worker-class", worker_class, "--threads", threads, "--request-timeout", "1s")
    appd.create("web", folder, port, *options).expect(DONE)
    (victim,) = appd.ready_pids("web")
    hang_up(port, "/slow?ms=600000")
    death = wait_for_death(appd, victim)
    assert (death["cause"], death["limit"], death["signal"]) == ("REQUEST_TIMEOUT", "request_timeout", signal.SIGKILL)
    assert "GET /slow?ms=600000" in death["reason"]
    assert "wsgi.py" in death["stacks"] and "in app" in death["stacks"]
    appd.wait_ready("web", 1)
    assert web.request(port).text == "hello"


def test_request_timeout_is_taken_over_by_running_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web", source=ASGI), port).expect(DONE)
    before = appd.ready_pids("web")
    with web.connect(port) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until(lambda: appd.workers("web")[0]["busy"] == 1, "it is in the app")
        appd.ok("set", "web", "--request-timeout", "500ms")
        assert web.status_of(web.read_to_end(client)) == 504
    assert appd.ready_pids("web") == before


def test_an_old_request_is_no_stuck_loop(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web", source=ASGI), port, "--timeout", "1s", "--graceful-timeout", "1s").expect(DONE)
    before = appd.ready_pids("web")
    with web.connect(port, timeout=3.0) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert appd.ready_pids("web") == before


def test_a_loop_that_stands_still_is_killed_with_the_stacks_of_threads_and_tasks(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    appd.create("web", write_app(tmp_path / "web", source=ASGI), port, "--timeout", "1s").expect(DONE)
    (victim,) = appd.ready_pids("web")
    with web.connect(port) as waiting:
        waiting.sendall(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: appd.workers("web")[0]["busy"] == 1, "it is in the app")
        hang_up(port, "/block")
        assert web.read_to_end(waiting) == b""
    death = wait_for_death(appd, victim)
    assert (death["cause"], death["limit"], death["busy"]) == ("TIMEOUT", "timeout", 2)
    assert {request["path"] for request in death["requests_in_hand"]} == {"/waits", "/block"}
    assert "most recent call" in death["stacks"]
    threads, _, tasks = death["stacks"].partition("\nTask ")
    assert "in app" in threads, "where the loop stands still"
    assert "deep_inside" in tasks, "what the other request waits for"


def test_c_code_that_holds_the_gil_is_found_and_its_stack_told(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = "def stuck(environ, start_response):\n    return compute()\n\ndef compute():\n    2 ** (10 ** 10)\n"
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--timeout", "1s", app="wsgi:stuck").expect(DONE)
    (victim,) = appd.ready_pids("web")
    hang_up(port, "/power")
    death = wait_for_death(appd, victim)
    assert death["cause"] == "TIMEOUT"
    assert "in compute" in death["stacks"]
    assert "lock was not to be had" in death["stacks"], "the tasks' part is waited for, and gone without"


@pytest.mark.parametrize("busy", [True, False])
def test_a_stopped_worker_is_found_from_outside(appd: Appd, port: int, tmp_path: Path, busy: bool) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2", "--timeout", "1s").expect(DONE)
    victim = min(appd.ready_pids("web"))
    if busy:
        appd.ok("scale", "web", "--workers", "1")
        (victim,) = appd.ready_pids("web")
        appd.ok("set", "web", "--timeout", "3s")
    with web.connect(port) as client:
        if busy:
            client.sendall(b"GET /slow?ms=2000 HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: appd.workers("web")[0]["busy"] == 1, "it is in the app")
        os.kill(victim, signal.SIGSTOP)
        death = wait_for_death(appd, victim)
    assert death["cause"] == "STOPPED_TOO_LONG"
    assert "stopped" in death["stacks"]
    assert death["busy"] == int(busy)
    appd.wait_ready("web", 1 if busy else 2)
    assert web.request(port).text == "hello"


def test_who_is_stopped_and_goes_on_in_time_is_spared(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--timeout", "2s").expect(DONE)
    (worker,) = appd.ready_pids("web")
    os.kill(worker, signal.SIGSTOP)
    os.kill(worker, signal.SIGCONT)
    with web.connect(port, timeout=3.0) as client, pytest.raises(TimeoutError):
        client.recv(1)
    assert appd.ready_pids("web") == {worker}
    assert web.request(port).text == "hello"


def test_stacks_of_a_living_worker(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web", source=ASGI), port, "--workers", "2", "--graceful-timeout", "1s").expect(DONE)
    before = appd.ready_pids("web")
    with web.connect(port) as client:
        client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: any(worker["busy"] for worker in appd.workers("web")), "it is in the app")
        everybody = appd.ok("stacks", "web").stdout
        assert everybody.count("most recent call first") >= 2
        assert "deep_inside" in everybody
        (busy,) = [worker["id"] for worker in appd.workers("web") if worker["busy"]]
        for _ in range(5):
            shown = appd.ok("stacks", "web", str(busy), "-o", "json").json
            assert "deep_inside" in shown["text"]
    assert appd.ready_pids("web") == before
    refused = appd.ctl("stacks", "web", "99")
    assert refused.exit == FAILED and "WORKER_NOT_FOUND" in refused.stderr


def test_stacks_of_greenlets(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("greenlets", tmp_path / "web")
    appd.create("web", folder, port, "--worker-class", "gevent", "--graceful-timeout", "1s", app="greenlets:app").expect(DONE)
    with web.connect(port) as client:
        client.sendall(b"GET /sleep?600 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: appd.workers("web")[0]["busy"] == 1, "it is in the app")
        text = appd.ok("stacks", "web", "1").stdout
        assert "Greenlet" in text and "in sleep" in text


def test_an_import_that_hangs_in_a_worker_says_where(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = "import os, time\ndef wait_for_ever(): time.sleep(600)\nif os.path.exists('hang'): wait_for_ever()"
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--preload", "off").expect(DONE)
    (folder / "hang").touch()
    (victim,) = appd.ready_pids("web")
    os.kill(victim, signal.SIGKILL)
    (starting,) = wait_until(
        lambda: [one for one in appd.workers("web") if one["state"] == "STARTING" and one["pid"] not in (0, victim)],
        "the replacement is at its import",
    )
    text = wait_until(
        lambda: (text := appd.ok("stacks", "web", str(starting["id"])).stdout) and "wait_for_ever" in text and text,
        "the stack of the import",
    )
    assert "wsgi.py" in text
    (folder / "hang").unlink()
    appd.ok("stop", "web")
