"""Stats: figures that follow what apps do, over the API, for a client that is not ours."""

import os
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness import http
from harness.api import Api
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.load import Load
from harness.waiting import wait_until

WATCH = "appd.v1.Stats/WatchStats"
OFTEN = {"interval": "0.1s"}


def first(appd: Appd, **request: Any) -> dict[str, Any]:
    with Api(appd) as api:
        return next(api.stream(WATCH, request))


def test_shows_apps_and_workers_at_once_and_rates_from_then_on(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    with Api(appd) as api:
        messages = api.stream(WATCH, OFTEN)
        at_once = next(messages)
        assert "over" not in at_once
        (app,) = at_once["apps"]
        assert (app["name"], app["state"], app["process_state"]) == ("apps/web", "ACTIVE", "RUNNING")
        assert (app["wanted_workers"], app["ready_workers"], app["queue"]) == (2, 2, 0)
        assert [worker["name"] for worker in at_once["workers"]] == [f"apps/web/workers/{n}" for n in (1, 2)]
        assert {worker["pid"] for worker in at_once["workers"]} == appd.ready_pids("web")
        assert all(int(worker["memory"]) > 1 << 20 for worker in at_once["workers"])
        assert int(app["memory"]) > sum(int(worker["memory"]) for worker in at_once["workers"])
        with Load(f"http://127.0.0.1:{port}/", connections=4) as load:
            busy = next(
                message
                for message in messages
                if message["apps"][0]["traffic"]["requests_per_second"] > 0 and message["apps"][0]["cpu"] > 0
            )
        load.assert_nothing_lost(at_least=1)
        traffic = busy["apps"][0]["traffic"]
        assert {"p50", "p99"} <= traffic.keys() and traffic["connections"] == 4
        assert any(worker["traffic"]["requests_per_second"] > 0 for worker in busy["workers"])
        after = next(message for message in messages if message["apps"][0]["traffic"]["connections"] == 0)
        assert int(after["apps"][0]["traffic"]["requests"]) == load.report["ok"]


def test_an_apps_totals_outlive_its_workers_and_appd(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    appd.expect_error('path="/raise"')
    for _ in range(5):
        http.request(port)
    http.request(port, "/raise")
    os.kill(next(iter(appd.ready_pids("web"))), signal.SIGKILL)
    wait_until(lambda: appd.observed("web")["unexpected_exits"] in (1, "1"), "the death is known")
    appd.wait_ready("web", 2)
    http.request(port)
    before = first(appd)["apps"][0]
    assert (before["traffic"]["requests"], before["traffic"]["errors"]) == ("7", "1")
    assert before["unexpected_exits"] == "1"
    appd.kill9()
    appd.start()
    appd.wait_ready("web", 2)
    after = first(appd)["apps"][0]
    assert (after["traffic"]["requests"], after["traffic"]["errors"]) == ("7", "1")
    assert after["unexpected_exits"] == "1"


def test_one_app_until_it_is_deleted(appd: Appd, port: int, tmp_path: Path) -> None:
    for name in ("a", "b"):
        appd.ok("create", name, "--command", "sleep 1000", "--directory", str(tmp_path), "--startsecs", "0")
    with Api(appd) as api:
        messages = api.stream(WATCH, {"app": "apps/b", **OFTEN})
        message = next(messages)
        assert [app["name"] for app in message["apps"]] == ["apps/b"]
        assert "queue" not in message["apps"][0], "it listens nowhere"
        assert [worker["name"] for worker in message["workers"]] == ["apps/b/workers/1"]
        appd.ok("delete", "b")
        with pytest.raises(grpc.RpcError) as ended:
            for message in messages:
                assert all(app["name"] == "apps/b" for app in message["apps"])
        assert ended.value.code() == grpc.StatusCode.NOT_FOUND


def test_what_waits_shows_in_the_queue(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "1", "--timeout", "60s").expect(DONE)
    with http.connect(port) as held, Api(appd) as api:
        held.sendall(b"GET /slow?ms=3000 HTTP/1.1\r\nHost: a\r\n\r\n")
        messages = api.stream(WATCH, OFTEN)
        next(message for message in messages if message["apps"][0]["traffic"]["busy"] == 1)
        with http.connect(port) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            next(message for message in messages if message["apps"][0]["queue"] == 1)
            assert http.status_of(http.read_to_end(waiting)) == 200
        waited = next(message for message in messages if "wait_p99" in message["apps"][0]["traffic"])
        assert waited["apps"][0]["queue"] == 0
        assert float(waited["apps"][0]["traffic"]["wait_p99"].removesuffix("s")) > 0.001


@pytest.mark.parametrize("request_", [{"interval": "0.05s"}, {"interval": "7200s"}, {"app": "web"}])
def test_refuses_with_the_field(appd: Appd, request_: dict[str, Any]) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        first(appd, **request_)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert next(iter(request_)) in refused.value.details()
