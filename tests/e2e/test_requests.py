"""What is in hand now, in every class, and the end of one request."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import http as web
from harness.appd import DONE, FAILED, USAGE, Appd
from harness.apps import copy_app, write_app
from harness.caller import Caller, token_of
from harness.ports import free_port
from harness.waiting import wait_until

ASGI = '''
import asyncio
ended = []

async def app(scope, receive, send):
    path = scope["path"]
    if path == "/ended":
        return await answer(send, ",".join(ended))
    while path != "/":
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            ended.append(path)
            if path != "/stubborn":
                raise
    await answer(send, "hello")

async def answer(send, text):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})
'''

# Goes on until a file is there; says nothing of how long.
SYNC = '''
import os, time

def app(environ, start_response):
    while environ["PATH_INFO"] == "/slow" and not os.path.exists("go"):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
'''


class Asked:
    """A request under way, and how it ended."""

    def __init__(self, port: int, path: str) -> None:
        self.answer: web.Answer | None = None
        self.broken_off = False
        self.thread = threading.Thread(target=self._ask, args=(port, path), daemon=True)
        self.thread.start()

    def _ask(self, port: int, path: str) -> None:
        try:
            self.answer = web.request(port, path, timeout=120)
        except (http.client.HTTPException, OSError):
            self.broken_off = True

    def ended(self) -> "web.Answer | None":
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.answer


def in_hand(appd: Appd, *app: str) -> list[dict[str, Any]]:
    return appd.ok("requests", *app, "-o", "json").json["requests"]


def wait_in_hand(appd: Appd, *paths: str) -> list[dict[str, Any]]:
    """Waits until exactly these are; in the order of their paths."""

    def look() -> list[dict[str, Any]] | None:
        found = sorted(in_hand(appd, "web"), key=lambda one: one["path"])
        return found if [one["path"] for one in found] == sorted(paths) else None

    return wait_until(look, f"{paths} are in hand")


def id_of(request: dict[str, Any]) -> str:
    _, _, _, worker, _, number = request["name"].split("/")
    return f"{worker}/{number}"


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    try:
        yield
    finally:
        (folder / "go").touch()


@pytest.mark.parametrize("threads", ["1", "4"])
def test_shows_what_threads_are_at_and_says_why_it_cannot_end_it(
    appd: Appd, port: int, tmp_path: Path, threads: str
) -> None:
    folder = write_app(tmp_path / "web", source=SYNC)
    appd.create("web", folder, port, "--threads", threads).expect(DONE)
    assert appd.ok("requests").stdout == "no requests in hand\n"
    with held(folder):
        asked = Asked(port, "/slow?q=1")
        (request,) = wait_in_hand(appd, "/slow?q=1")
        assert request["method"] == "GET"
        assert request["stage"] == "IN_APP"
        assert request["cancellable"] is False
        assert request["name"].startswith("apps/web/workers/1/requests/")
        assert {request["pid"]} == appd.ready_pids("web")
        shown = appd.ok("requests", "web").stdout.splitlines()
        assert shown[0].split() == ["ID", "PID", "AGE", "STAGE", "METHOD", "PATH"]
        assert shown[1].split()[0] == id_of(request)
        assert appd.ok("requests").stdout.splitlines()[1].startswith("web ")
        refused = appd.ctl("requests", "web", "--cancel", id_of(request)).expect(FAILED)
        assert "REQUEST_NOT_CANCELLABLE" in refused.stderr and "in a thread" in refused.stderr
        assert "appctl recycle web" in refused.stderr
    answer = asked.ended()
    assert answer is not None and answer.status == 200, "nothing was done to it"
    wait_until(lambda: not in_hand(appd, "web"), "it is in hand no more")


def test_whose_rights_are_for_some_apps_is_shown_what_those_have_in_hand(appd: Appd, tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("web", "shop")}
    for name, port in ports.items():
        appd.create(name, write_app(tmp_path / name, source=SYNC), port).expect(DONE)
    ci = Caller(appd.address, token=token_of(appd.ok("token", "create", "ci", "--role", "viewer", "--app", "web")))
    with held(tmp_path / "web"), held(tmp_path / "shop"):
        for name, port in ports.items():
            Asked(port, f"/slow?{name}")
        wait_until(lambda: len(in_hand(appd)) == 2, "both are in hand")
        shown = ci("requests", "-o", "json").expect(DONE).json
        assert [one["path"] for one in shown["requests"]] == ["/slow?web"]
        assert int(shown.get("unnamed", 0)) == 0, "nor are others counted"
        assert "APP_NOT_ALLOWED" in ci("requests", "shop").expect(FAILED).stderr


def test_a_coroutine_is_cancelled_and_the_others_go_on(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", source=ASGI)
    appd.create("web", folder, port, "--graceful-timeout", "1s").expect(DONE)  # the stubborn one stays to the end
    before = appd.ready_pids("web")
    asked = {path: Asked(port, path) for path in ("/one", "/stubborn", "/two")}
    one, stubborn, two = wait_in_hand(appd, *asked)
    assert all(request["cancellable"] for request in (one, stubborn, two))
    done = appd.ok("requests", "web", "--cancel", id_of(one))
    assert done.stdout == f"web: {id_of(one)} (GET /one) was cancelled\n"
    answer = asked["/one"].ended()
    assert answer is not None and (answer.status, answer.text) == (503, "Service Unavailable\n")
    # Its client is answered, whatever the coroutine makes of it.
    appd.ok("requests", "web", "--cancel", id_of(stubborn))
    answer = asked["/stubborn"].ended()
    assert answer is not None and answer.status == 503
    (left,) = wait_in_hand(appd, "/two")
    assert left["name"] == two["name"]
    gone = appd.ctl("requests", "web", "--cancel", id_of(one)).expect(FAILED)
    assert "REQUEST_NOT_FOUND" in gone.stderr and "appctl requests web" in gone.stderr
    assert web.request(port, "/ended").text == "/one,/stubborn"
    as_json = appd.ok("requests", "web", "--cancel", id_of(two), "-o", "json").json
    assert as_json["path"] == "/two"
    assert appd.ready_pids("web") == before
    log = appd.app_logs()["logs/web.log"]
    assert log.count("event=request_cancelled") == 3 and 'path="/one"' in log
    assert "event=request_timeout" not in log
    assert f"request {id_of(one)} (GET /one) is cancelled by " in appd.log()


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_a_greenlet_is_ended(appd: Appd, port: int, tmp_path: Path, library: str) -> None:
    folder = copy_app("greenlets", tmp_path / "web")
    appd.create("web", folder, port, "--worker-class", library, app="greenlets:app").expect(DONE)
    before = appd.ready_pids("web")
    asked = Asked(port, "/sleep?600")
    (request,) = wait_in_hand(appd, "/sleep?600")
    appd.ok("requests", "web", "--cancel", id_of(request))
    answer = asked.ended()
    assert answer is not None and answer.status == 503
    assert web.request(port).text == "hello"
    assert appd.ready_pids("web") == before


def test_a_greenlet_that_resists_is_told_of(appd: Appd, port: int, tmp_path: Path) -> None:
    source = '''
import os, time
def app(environ, start_response):
    while environ["PATH_INFO"] == "/immortal" and not os.path.exists("go"):
        try:
            time.sleep(0.01)
        except BaseException:
            pass
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
'''
    folder = write_app(tmp_path / "web", source=source)
    appd.create("web", folder, port, "--worker-class", "gevent").expect(DONE)
    before = appd.ready_pids("web")
    with held(folder):
        asked = Asked(port, "/immortal")
        (request,) = wait_in_hand(appd, "/immortal")
        asked_to = appd.ok("requests", "web", "--cancel", id_of(request), "--no-wait").stdout
        assert asked_to.endswith("is being cancelled\n")
        failed = appd.ctl("requests", "web", "--cancel", id_of(request)).expect(FAILED)
        assert "goes on" in failed.stderr and "appctl recycle web 1" in failed.stderr
        wait_in_hand(appd, "/immortal")
    assert asked.ended() is not None
    assert appd.ready_pids("web") == before, "it costs nobody its life"


def test_of_more_requests_than_have_a_name_the_number_is_told(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", source=ASGI)
    appd.create("web", folder, port).expect(DONE)
    asked = [Asked(port, "/many") for _ in range(20)]

    def all_there() -> Any:
        told = appd.ok("requests", "web", "-o", "json").json
        return told if len(told["requests"]) + int(told["unnamed"]) == 20 else None

    told = wait_until(all_there, "twenty are in hand")
    assert len(told["requests"]) == 16
    assert "and 4 more" in appd.ok("requests", "web").stdout
    # The oldest of those that are left get a name when there is room.
    while request := next(iter(in_hand(appd, "web")), None):
        appd.ctl("requests", "web", "--cancel", id_of(request))
    for one in asked:
        answer = one.ended()
        assert answer is not None and answer.status == 503


def test_who_waits_for_its_client_is_told_apart_and_keeps_its_number(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web", source=SYNC)
    appd.create("web", folder, port).expect(DONE)
    with held(folder), web.connect(port) as client:
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na")
        (receiving,) = wait_in_hand(appd, "/slow")
        assert (receiving["stage"], receiving["cancellable"]) == ("RECEIVING", False)
        assert "receiving" in appd.ok("requests", "web").stdout
        refused = appd.ctl("requests", "web", "--cancel", id_of(receiving)).expect(FAILED)
        assert "waits for its client" in refused.stderr and "client_body_timeout" in refused.stderr
        client.sendall(b"b")

        def in_app() -> dict[str, Any] | None:
            return next((one for one in in_hand(appd, "web") if one["stage"] == "IN_APP"), None)

        assert wait_until(in_app, "it is in the app")["name"] == receiving["name"]


def test_wrong_ids_are_usage_errors(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    for wrong in ("3", "3/", "/3", "a/b", "3/0", "-1/3", "1/2/3", ""):
        refused = appd.ctl("requests", "web", f"--cancel={wrong}").expect(USAGE)
        assert "WORKER/NUMBER" in refused.stderr or "--cancel" in refused.stderr
    assert "say of which app" in appd.ctl("requests", "--cancel", "1/1").expect(USAGE).stderr
    assert "WORKER_NOT_FOUND" in appd.ctl("requests", "web", "--cancel", "9/1").expect(FAILED).stderr
    assert "APP_NOT_FOUND" in appd.ctl("requests", "nowhere").expect(FAILED).stderr
    appd.ctl("requests", "web", "--no-wait").expect(USAGE)
