"""A rollout survives the death of appd at every step: the next appd finishes it, or takes it back.

Each test kills appd at a failpoint (docs/testing.md), starts another one, and looks at what the client
that asked for the reload was told, at what serves, at what is left, and at a load that must lose nothing."""

import os
import signal
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from harness import http, processes
from harness.appd import DONE, ROLLED_BACK, UNREACHABLE, Appd, Outcome
from harness.apps import write_app
from harness.load import Load
from harness.ports import free_port
from harness.waiting import wait_until

WORKERS = 2
# An appd that has been started again hears of the workers that are there: theirs come first.
FIRST_NEW = WORKERS + 1

STEPS = [
    "store.commit",
    "store.committed",
    "rollout.recorded",
    "change.answered",
    "rollout.spawned",
    "rollout.loaded:2",
    f"worker.forked:{FIRST_NEW}",
    f"worker.ready:{FIRST_NEW}",
    "rollout.switching",
    f"worker.ready:{FIRST_NEW + 1}",
    "rollout.proved",
    "rollout.serving",
    "rollout.retiring",
    "rollout.retired",
    "operation.ended",
    "operation.stored",
]
CANARY_STEPS = ["rollout.baking", "rollout.looked:2", "rollout.switching", "rollout.serving"]
STEPS_OF_A_FAILURE = [
    "rollout.recorded",
    "rollout.spawned",
    "rollout.failed",
    "rollout.rolled_back",
    "rollout.retired",
]
STEPS_OF_STEPS = ["rollout.switching", "worker.draining", "worker.draining:2", "rollout.retiring"]


def kill_at(step: str) -> str:
    name, _, number = step.partition(":")
    return f"{name}=kill" + (f":{number}" if number else "")


class Reload:
    """`appctl reload` in the background, as a pipeline would run it: it repeats what is cut off."""

    def __init__(self, appd: Appd) -> None:
        self._appd = appd
        self._arguments = ("reload", "web", "--request-id", str(uuid.uuid4()))
        self._outcome: list[Outcome] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._outcome.append(self._appd.ctl(*self._arguments))

    def outcome(self) -> Outcome:
        self._thread.join()
        if self._outcome[0].exit == UNREACHABLE:  # appctl has lost patience: a retry of the step of the pipeline
            self._run()
        return self._outcome[-1]


def reload_through_a_death(appd: Appd, step: str, then: str = "") -> Outcome:
    """The running appd is replaced by one that dies at that step of a reload, and that one by another."""
    appd.kill9()
    appd.start(failpoints=kill_at(step))
    reload = Reload(appd)
    assert appd.wait_end() == -signal.SIGKILL, step
    appd.start(failpoints=then)
    return reload.outcome()


def reloads(appd: Appd) -> list[dict[str, Any]]:
    operations = appd.ok("operations", "web", "-o", "json").json["operations"]
    return [one for one in operations if one["kind"] == "RELOAD"]


def assert_one_set_is_left(appd: Appd, workers: int = WORKERS) -> None:
    wait_until(lambda: not appd.observed("web").get("reconciling"), "all is as asked for", 30)
    pids = appd.ready_pids("web")
    assert len(pids) == workers
    zygotes = {processes.process(pid).parent for pid in pids}  # type: ignore[union-attr]
    assert len(zygotes) == 1

    def family() -> set[int]:
        titles = {one.pid: one.command_line() for one in processes.descendants(os.getpid()) if not one.zombie}
        return {pid for pid, title in titles.items() if "zygote web rollout" in title}

    wait_until(lambda: family() == pids | zygotes, "no process of the other rollout is left", 30)
    owners = list(appd.runtime_dir.glob("zygotes/*.pid"))
    assert len(owners) == 1, owners


@pytest.mark.parametrize("step", STEPS)
def test_the_next_appd_finishes_a_rollout(appd: Appd, port: int, tmp_path: Path, step: str) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", str(WORKERS)).expect(DONE)
    write_app(folder, version="2")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        reload_through_a_death(appd, step).expect(DONE)
    load.assert_nothing_lost()
    assert http.request(port, "/version").text == "2"
    assert [one["phase"] for one in reloads(appd)] == ["SUCCEEDED"]
    assert_one_set_is_left(appd)


@pytest.mark.parametrize("step", STEPS_OF_A_FAILURE)
def test_the_next_appd_takes_bad_code_back(appd: Appd, port: int, tmp_path: Path, step: str) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", str(WORKERS)).expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, version="2", extra="raise RuntimeError('bad code')")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        failed = reload_through_a_death(appd, step).expect(ROLLED_BACK)
    load.assert_nothing_lost()
    assert "RuntimeError: bad code" in failed.stderr
    assert [one["phase"] for one in reloads(appd)] == ["ROLLED_BACK"]
    assert appd.ready_pids("web") == before
    assert_one_set_is_left(appd)


@pytest.mark.parametrize("step", CANARY_STEPS)
def test_the_next_appd_finishes_a_rollout_with_a_canary(appd: Appd, port: int, tmp_path: Path, step: str) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", str(WORKERS), "--canary", "1", "--bake", "1s").expect(DONE)
    write_app(folder, version="2")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--fresh", "--think", "2")) as load:
        # Who begins a bake anew dies of it.
        reload_through_a_death(appd, step, then="rollout.baking=kill").expect(DONE)
    load.assert_nothing_lost()
    assert http.request(port, "/version").text == "2"
    assert [one["phase"] for one in reloads(appd)] == ["SUCCEEDED"]
    assert_one_set_is_left(appd)


@pytest.mark.parametrize("step", STEPS_OF_STEPS)
def test_the_next_appd_finishes_a_rollout_in_steps(appd: Appd, port: int, tmp_path: Path, step: str) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "4", "--max-surge", "1").expect(DONE)
    write_app(folder, version="2")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        reload_through_a_death(appd, step).expect(DONE)
    load.assert_nothing_lost()
    assert http.request(port, "/version").text == "2"
    assert_one_set_is_left(appd, workers=4)


def test_a_bake_goes_on_where_it_was(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2", "--canary", "1", "--bake", "1h").expect(DONE)
    write_app(folder, version="2")
    operation = appd.ok("reload", "web", "--no-wait").stdout.strip()

    def of_the_canary() -> int:
        detail = appd.ok("operations", "web", "-o", "json").json["operations"][0].get("detail", "")
        return int(detail.split(" of ")[2].split()[0]) if detail.count(" of ") > 1 else 0

    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--fresh", "--think", "2")) as load:
        wait_until(lambda: of_the_canary() >= 20, "the canary has answered some", 30)
        appd.kill9()
        appd.start(failpoints="rollout.baking=kill")
        wait_until(lambda: of_the_canary() >= 20, "and is still compared by them", 30)
        appd.ok("set", "web", "--bake", "10ms")
        appd.ok("wait", operation)
    load.assert_nothing_lost()
    assert http.request(port, "/version").text == "2"


def test_superseded_is_told_by_the_next_appd_too(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    write_app(folder, version="2", extra="time.sleep(60)")
    first = appd.ok("reload", "web", "--no-wait").stdout.strip()
    appd.kill9()
    appd.start(failpoints="rollout.recorded=kill")
    write_app(folder, version="3")
    reload = Reload(appd)
    assert appd.wait_end() == -signal.SIGKILL
    appd.start()
    reload.outcome().expect(DONE)
    phases = {one["name"]: one["phase"] for one in reloads(appd)}
    assert phases.pop(first) == "SUPERSEDED"
    assert list(phases.values()) == ["SUCCEEDED"]
    assert http.request(port, "/version").text == "3"


def test_a_change_of_bind_survives_and_is_taken_back(appd: Appd, port: int, tmp_path: Path) -> None:
    """The sockets of the old address are found again, although the wanted spec names another."""
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    write_app(folder, version="2", extra="raise RuntimeError('bad code')")
    other = free_port()
    appd.kill9()
    appd.start(failpoints="rollout.spawned=kill")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        appd.ctl("set", "web", "--bind", f"127.0.0.1:{other}", "--no-wait")
        assert appd.wait_end() == -signal.SIGKILL
        appd.start()
        wait_until(lambda: not appd.observed("web").get("reconciling"), "taken back", 30)
        write_app(folder, version="3")
        appd.ok("reload", "web")
    load.assert_nothing_lost()
    assert http.request(port, "/version").text == "3"
    assert http.refused(other)

