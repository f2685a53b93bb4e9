"""Workers are replaced for what they have done, for their age, or for what they hold, and nobody notices."""

import http.client
from pathlib import Path

import pytest

from harness import http as web
from harness.appd import DONE, FAILED, Appd
from harness.apps import write_app
from harness.events import Events
from harness.load import Load
from harness.waiting import wait_until

STEADY = ("--think", "5")
HOARD = """
hoard = []
def hoarding(environ, start_response):
    if environ["PATH_INFO"] == "/hoard":
        hoard.append(bytearray(b"x") * (64 << 20))
    return app(environ, start_response)
"""


def recycled(appd: Appd) -> int:
    return int(appd.observed("web").get("recycled_workers", 0))


def accepting(events: Events) -> list[int]:
    """How many workers were ready, event by event."""
    ready: set[int] = set()
    counts = []
    for event in list(events.seen):
        worker = event.get("worker")
        if not worker:
            continue
        before = len(ready)
        ready = ready | {worker["pid"]} if worker["state"] == "READY" else ready - {worker["pid"]}
        if len(ready) != before:
            counts.append(len(ready))
    return counts


@pytest.mark.parametrize("limit", [("--max-requests", "50", "--max-requests-jitter", "20"), ("--max-worker-lifetime", "1s")])
def test_no_request_notices_and_the_pool_never_shrinks(
    appd: Appd, port: int, tmp_path: Path, events: Events, limit: tuple[str, ...]
) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    first = appd.ready_pids("web")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        appd.ok("set", "web", *limit)
        assert appd.ready_pids("web") == first, "the setting itself replaces nobody"
        wait_until(lambda: recycled(appd) >= 4, "more than one round of replacements")
    load.assert_nothing_lost()
    assert appd.observed("web")["unexpected_exits"] in (0, "0")
    counts = accepting(events)
    assert min(counts[3:]) >= 3 and max(counts) <= 4, f"one at a time, and its replacement first: {counts}"
    assert appd.ok("workers", "web", "--dead", "-o", "json").json.get("deaths", []) == []
    appd.ok("set", "web", "--reset", limit[0].removeprefix("--").replace("-", "_"))


def test_what_holds_too_much_memory_is_replaced(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra=HOARD)
    appd.create("web", folder, port, "--max-memory", "100MiB", app="wsgi:hoarding").expect(DONE)
    (fat,) = appd.ready_pids("web")
    for _ in range(2):
        try:
            web.request(port, "/hoard")
        except (http.client.RemoteDisconnected, ConnectionResetError):
            pytest.fail("the worker was not drained but cut off")
    wait_until(lambda: recycled(appd) == 1 and fat not in appd.ready_pids("web"), "the fat one is replaced")
    (lean,) = appd.workers("web")
    assert 0 < int(lean["memory"]) < 100 << 20


def test_recycle_replaces_one_worker_and_waits_for_it(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    before = {worker["id"]: worker["pid"] for worker in appd.workers("web")}
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        said = appd.ok("recycle", "web", "2").stdout
    load.assert_nothing_lost(at_least=16)
    assert f"pid {before[2]}" in said
    after = appd.ready_pids("web")
    assert len(after) == 3 and before[2] not in after
    assert {before[1], before[3]} < after
    assert recycled(appd) == 1
    refused = appd.ctl("recycle", "web", "99")
    assert refused.exit == FAILED and "WORKER_NOT_FOUND" in refused.stderr


def test_a_replacement_that_cannot_start_leaves_the_old_one_serving(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = "import os\nif os.path.exists('broken'): raise RuntimeError('no more')"
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--preload", "off").expect(DONE)
    (folder / "broken").touch()
    before = appd.ready_pids("web")
    appd.ok("recycle", "web", "1", "--no-wait")
    wait_until(lambda: int(appd.observed("web").get("unexpected_exits", 0)) >= 1, "the replacement has failed")
    assert appd.ready_pids("web") == before
    assert web.request(port).text == "hello"
    (folder / "broken").unlink()
    wait_until(lambda: recycled(appd) == 1, "a later one comes up")
    assert web.request(port).text == "hello"
