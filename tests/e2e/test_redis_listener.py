"""examples/redis_listener with a real Redis: a background coroutine in each worker, for as long as it serves."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from harness import http
from harness.appd import DONE, ROLLED_BACK, Appd
from harness.apps import copy_example
from harness.ports import free_port
from harness.waiting import wait_until


@pytest.fixture(scope="module")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A Redis of our own: loopback only, nothing on disk."""
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder))
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(port), "Redis answers")
        yield port
    finally:
        server.terminate()
        server.wait(20)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"PING\r\n")
            return client.recv(100) == b"+PONG\r\n"
    except OSError:
        return False


@pytest.fixture
def queue(redis_port: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=redis_port, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def listener(queue: redis.Redis, redis_port: int, appd: Appd, port: int, tmp_path: Path) -> Path:
    folder = copy_example("redis_listener", tmp_path / "listener")
    options = ("--workers", "2", "--env", f"REDIS_URL=redis://127.0.0.1:{redis_port}")
    appd.create("listener", folder, port, *options, app="app:app").expect(DONE)
    return folder


def handled(port: int) -> list[dict[str, Any]]:
    return json.loads(http.request(port, "/items").body)["handled"]


def test_items_are_handled_while_requests_are_served(
    listener: Path, queue: redis.Redis, appd: Appd, port: int
) -> None:
    queue.rpush("items", *(f"item {number}" for number in range(20)))
    assert http.request(port, "/items", "POST", b"over HTTP").status == 202
    wait_until(lambda: len(handled(port)) == 21, "every item has been handled")
    pids = appd.ready_pids("listener")
    assert {entry["pid"] for entry in handled(port)} <= pids
    # Both workers wait for items, and in nobody else's place.
    assert queue.info("clients")["blocked_clients"] == 2


def test_reloads_lose_no_item_and_handle_none_twice(listener: Path, queue: redis.Redis, appd: Appd, port: int) -> None:
    pushed: list[str] = []

    def push_some() -> None:
        some = [f"item {len(pushed) + number}" for number in range(50)]
        queue.rpush("items", *some)
        pushed.extend(some)

    for _ in range(3):
        before = appd.ready_pids("listener")
        appd.ok("reload", "listener", "--no-wait")
        while len(appd.ready_pids("listener") - before) < 2 or appd.observed("listener")["state"] != "ACTIVE":
            push_some()
    wait_until(lambda: len(handled(port)) >= len(pushed), "every item has been handled")
    assert sorted(entry["item"] for entry in handled(port)) == sorted(pushed)
    assert queue.info("clients")["blocked_clients"] == 2, "the listeners of the old workers have gone"


def test_stop_ends_the_listeners_cleanly(listener: Path, queue: redis.Redis, appd: Appd, port: int) -> None:
    appd.ok("stop", "listener")
    assert queue.info("clients")["blocked_clients"] == 0
    queue.rpush("items", "for later")
    appd.ok("start", "listener")
    wait_until(lambda: [entry["item"] for entry in handled(port)] == ["for later"], "it is handled by the next workers")


def test_redis_out_of_reach_is_a_failed_rollout(listener: Path, appd: Appd, port: int) -> None:
    appd.expect_error("event=boot_failed")
    before = appd.ready_pids("listener")
    failed = appd.ctl("set", "listener", "--env", "REDIS_URL=redis://127.0.0.1:1").expect(ROLLED_BACK)
    assert "127.0.0.1:1" in failed.output
    assert appd.ready_pids("listener") == before
