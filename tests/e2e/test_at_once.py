"""Changes that meet: what comes during a rollout supersedes it or waits for it, and two clients at once end in one
defined state."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import http
from harness.appd import CONFLICT, DONE, FAILED, Appd
from harness.apps import write_app
from harness.load import Load
from harness.waiting import wait_until

STEADY = ("--think", "5")


def gated(folder: Path, gate: Path, version: str) -> Path:
    """An app whose import waits for the gate."""
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)"
    return write_app(folder, version=version, extra=wait)


@contextmanager
def under_way(appd: Appd, gate: Path, *change: str) -> Iterator[list[int]]:
    """A change whose rollout does not get on within the block; its exit status when that is over."""
    exits: list[int] = []
    client = threading.Thread(target=lambda: exits.append(appd.ctl(*change).exit))
    before = appd.get("web")["operation"]
    client.start()
    try:
        wait_until(lambda: appd.get("web")["operation"] != before, "it has begun")
        yield exits
    finally:
        gate.touch()
        client.join()


def test_a_scale_during_a_reload_counts_for_both_rollouts(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    gate = tmp_path / "gate"
    gated(folder, gate, "2")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        with under_way(appd, gate, "reload", "web") as reload:
            scale = appd.ok("scale", "web", "--workers", "4", "--no-wait").stdout.strip()
            appd.wait_ready("web", 4)
        appd.ok("wait", scale)
    load.assert_nothing_lost()
    assert reload == [DONE]
    assert [worker["rollout"] for worker in appd.workers("web")] == ["2"] * 4
    assert http.request(port, "/version").text == "2"


def test_a_rollback_during_a_deploy_supersedes_it(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "1"), port, "--workers", "2").expect(DONE)
    gate = tmp_path / "gate"
    new = gated(tmp_path / "2", gate, "2")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        with under_way(appd, gate, "set", "web", "--directory", str(new)) as deploy:
            appd.ok("rollback", "web")
    load.assert_nothing_lost()
    assert deploy == [CONFLICT]
    assert appd.get("web")["spec"]["directory"] == str(tmp_path / "1")
    assert http.request(port, "/version").text == "1"
    assert len(appd.ready_pids("web")) == 2


def test_a_delete_during_a_reload_supersedes_it(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    gate = tmp_path / "gate"
    gated(folder, gate, "2")
    with under_way(appd, gate, "reload", "web") as reload:
        appd.ok("delete", "web")
        assert "APP_NOT_FOUND" in appd.ctl("get", "web").expect(FAILED).stderr
        assert http.refused(port)
    assert reload == [CONFLICT]


def test_a_stop_during_a_reload_supersedes_it_and_a_start_loads_the_newest(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    gate = tmp_path / "gate"
    gated(folder, gate, "2")
    with under_way(appd, gate, "reload", "web") as reload:
        appd.ok("stop", "web")
        assert appd.workers("web") == []
    assert reload == [CONFLICT]
    appd.ok("start", "web")
    assert http.request(port, "/version").text == "2"


def test_nothing_can_be_changed_while_an_app_is_being_deleted(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    with http.connect(port) as client:
        client.sendall(b"GET /slow?ms=2000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: appd.workers("web")[0].get("busy", 0), "a request is in hand")
        operation = appd.ok("delete", "web", "--no-wait").stdout.strip()
        for change in (("reload",), ("scale", "--workers", "2"), ("rollback",), ("delete",)):
            verb, *more = change
            refused = appd.ctl(verb, "web", *more)
            assert refused.exit != DONE and "APP_DELETING" in refused.stderr, refused.output
        assert http.status_of(client.recv(65536)) == 200
    appd.ok("wait", operation)


def test_two_clients_that_scale_at_once_end_with_one_number(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    exits: dict[str, int] = {}

    def scale(workers: str) -> None:
        exits[workers] = appd.ctl("scale", "web", "--workers", workers).exit

    clients = [threading.Thread(target=scale, args=(workers,)) for workers in ("3", "5")]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    wanted = appd.get("web")["spec"]["workers"]
    assert len(appd.ready_pids("web")) == wanted
    assert exits[str(wanted)] == DONE
    assert set(exits.values()) <= {DONE, CONFLICT}
