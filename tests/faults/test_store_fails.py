"""Faults 32 to 38: the disk of the state fills up, breaks, loses power, is damaged, locked or read-only; memory runs out.

What was acknowledged is kept, what was refused has no effect, and the apps serve."""

import errno
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from crowd import Crowd, Site
from failing import start_failing
from harness import http
from harness.appd import DONE, FAILED, Appd, Outcome
from harness.apps import write_app
from harness.paths import APPCTL
from harness.ports import free_port
from harness.waiting import wait_until
from moments import SECONDS, rounds, seeded
from world import World, stored

STORE_TROUBLE = "cannot store"


def stopped_app(appd: Appd, tmp_path: Path, port: int) -> None:
    """An app with a spec to change and no process."""
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    appd.ok("stop", "web")


def workers_of(appd: Appd) -> int:
    return appd.get("web")["spec"]["workers"]


def appctl_in_background(appd: Appd, *arguments: str) -> "subprocess.Popen[str]":
    command = [str(APPCTL), "--address", appd.address, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_every_write_and_sync_of_a_change_fails_in_turn(
    idle_appd: Appd, fail_nth: Path, tmp_path: Path, port: int, error: int
) -> None:
    """Refused changes have no effect, neither on this appd nor on the one that comes after it is killed."""
    appd = idle_appd
    appd.expect_error(STORE_TROUBLE)
    failing = start_failing(appd, fail_nth, "store", tmp_path)
    stopped_app(appd, tmp_path, port)
    struck, nth, refused = True, 0, 0
    while struck:
        nth += 1
        before = workers_of(appd)
        failing.arm(nth, error, lasting=True)
        outcome = appd.ctl("set", "web", "--workers", str(before + 1), "--no-wait")
        struck = failing.disarm()
        assert outcome.exit in (DONE, FAILED), outcome.output
        if outcome.exit == FAILED:
            refused += 1
            assert str(appd.state_dir / "appd.db") in outcome.output
            assert workers_of(appd) == before
        expected = workers_of(appd)
        assert expected == before + (outcome.exit == DONE)
        appd.kill9()
        failing = start_failing(appd, fail_nth, "store", tmp_path)
        # What failed may be on disk whole, as after any crash between write and answer; never in part.
        assert workers_of(appd) in ((expected,) if outcome.exit == DONE else (before, before + 1))
        assert nth < 200
    assert refused >= 3, "writes and a sync were tried"


def test_a_full_disk_refuses_changes_and_nothing_else(small_state: Path, idle_appd: Appd, tmp_path: Path, port: int) -> None:
    appd = idle_appd
    appd.expect_error(STORE_TROUBLE)
    appd.expect_error("log_lost|log_not_reopened")
    appd.start()
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    ballast = small_state / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 512)
    # Pages that the log has already are used again: it takes some changes until one needs a new one.
    acknowledged = 2
    for workers in (3, 2) * 100:
        outcome = appd.ctl("scale", "web", "--workers", str(workers))
        if outcome.exit != DONE:
            break
        acknowledged = workers
    assert outcome.exit == FAILED and "disk is full" in outcome.output, outcome.output
    assert appd.get("web")["spec"]["workers"] == acknowledged
    assert len(appd.wait_ready("web", acknowledged)) == acknowledged
    assert http.request(port).text == "hello"
    victim = min(appd.ready_pids("web"))
    os.kill(victim, 9)
    wait_until(lambda: victim not in appd.ready_pids("web"), "it is missed")
    appd.wait_ready("web", acknowledged)
    ballast.unlink()
    appd.ok("scale", "web", "--workers", "4")
    (death,) = appd.ok("workers", "web", "--dead", "-o", "json").json["deaths"]
    assert death["pid"] == victim, "what could not be stored is stored later"
    appd.kill9()
    appd.start()
    assert len(appd.wait_ready("web", 4)) == 4
    appd.ok("delete", "web")
    assert appd.stop() == 0  # nothing may be left on the file system that is about to go


def stopped_apps(appd: Appd, tmp_path: Path, number: int) -> list[str]:
    names = [f"app{one}" for one in range(number)]
    folder = write_app(tmp_path / "code")
    for name in names:
        appd.create(name, folder, free_port()).expect(DONE)
        appd.ok("stop", name)
    return names


def known(appd: Appd, names: list[str]) -> list[tuple[Any, ...]]:
    apps = [appd.get(name) for name in names]
    return [(app["spec"], app["etag"], app["operation"]) for app in apps]


def changed_at_once(appd: Appd, names: list[str]) -> list[Outcome]:
    """One more worker for each, by as many callers."""
    with ThreadPoolExecutor(len(names)) as callers:
        return list(callers.map(lambda name: appd.ctl("scale", name, "--workers", "2", "--no-wait"), names))


def assert_refused_without_effect(appd: Appd, names: list[str], outcomes: list[Outcome], before: list[tuple[Any, ...]]) -> None:
    for outcome in outcomes:
        assert outcome.exit == FAILED and str(appd.state_dir / "appd.db") in outcome.output, outcome.output
    assert known(appd, names) == before


def test_a_sick_disk_refuses_every_caller_and_a_well_one_none(idle_appd: Appd, fail_nth: Path, tmp_path: Path) -> None:
    """Callers at once share a transaction; appd goes on by itself, and what it refused does not come back after a kill."""
    appd = idle_appd
    appd.expect_error(STORE_TROUBLE)
    failing = start_failing(appd, fail_nth, "store", tmp_path)
    names = stopped_apps(appd, tmp_path, 6)
    before = known(appd, names)
    for nth in (1, 2, 3, 5, 8):
        failing.arm(nth, errno.EIO, lasting=True)
        # What comes before the fault may be done: the first group of them, or nobody.
        outcomes = changed_at_once(appd, names)
        assert failing.disarm()
        refused = [name for name, outcome in zip(names, outcomes) if outcome.exit != DONE]
        done = [name for name in names if name not in refused]
        assert refused, outcomes
        of_refused = [app for name, app in zip(names, before) if name in refused]
        assert_refused_without_effect(appd, refused, [one for one in outcomes if one.exit != DONE], of_refused)
        appd.ok("scale", names[0], "--workers", "3")
        appd.kill9()
        failing = start_failing(appd, fail_nth, "store", tmp_path)
        expected = {**dict.fromkeys(refused, 1), **dict.fromkeys(done, 2), names[0]: 3}
        assert {name: appd.get(name)["spec"]["workers"] for name in names} == expected
        for name in names:
            appd.ok("scale", name, "--workers", "1")
        before = known(appd, names)


def test_a_commit_that_fails_refuses_every_caller_of_it(appd: Appd, tmp_path: Path) -> None:
    appd.expect_error(STORE_TROUBLE)
    names = stopped_apps(appd, tmp_path, 6)
    before = known(appd, names)
    appd.kill9()
    appd.start(failpoints="store.commit=error:ENOSPC")
    outcomes = changed_at_once(appd, names)
    assert all("No space left on device" in outcome.output for outcome in outcomes), outcomes
    assert_refused_without_effect(appd, names, outcomes, before)
    appd.kill9()
    appd.start()
    assert known(appd, names) == before
    assert all(outcome.exit == DONE for outcome in changed_at_once(appd, names))


def test_allocations_fail_in_turn(idle_appd: Appd, fail_nth: Path, tmp_path: Path, port: int) -> None:
    """The N-th of a change fails: the change is refused, or appd dies of it and the next one knows what was acknowledged."""
    chosen = seeded()
    appd = idle_appd
    appd.expect_error(STORE_TROUBLE)
    failing = start_failing(appd, fail_nth, "memory", tmp_path)
    stopped_app(appd, tmp_path, port)
    died = 0
    for number in rounds(at_least=10):
        before = workers_of(appd)
        nth = number if number <= 10 else int(chosen.paretovariate(0.3)) % 5000 + 1
        failing.arm(nth, errno.ENOMEM)
        asked = appctl_in_background(appd, "set", "web", "--workers", str(before + 1), "--no-wait")
        wait_until(lambda: asked.poll() is not None or not appd.running, "appctl or appd has ended", 30)
        failing.disarm()
        if not appd.running:  # appctl asks again, for ten seconds
            died += 1
            appd.kill9()
            failing = start_failing(appd, fail_nth, "memory", tmp_path)
        output, _ = asked.communicate(timeout=60)
        if appd.ctl("get", "web").exit != DONE:  # it answered, and died of what it does afterwards
            wait_until(lambda: not appd.running, "appd has ended")
            died += 1
            appd.kill9()
            failing = start_failing(appd, fail_nth, "memory", tmp_path)
        after = workers_of(appd)
        assert after == before + (asked.returncode == DONE), f"allocation {nth}: {output}"
        assert appd.ctl("set", "web", "--workers", "1").exit == DONE, "it goes on"
    print(f"appd died in {died} of {number} rounds")


def cuts(size: int, number: int) -> list[int]:
    chosen = random.Random(size)
    return sorted({0, 1, 31, 32, 33, size - 1, size, *(chosen.randrange(size) for _ in range(number))})


def test_power_that_fails_at_any_byte_of_the_log_loses_nothing_acknowledged(
    appd: Appd, tmp_path: Path, port: int
) -> None:
    """Copies of the database with its log cut off, or overwritten with garbage, from some byte on."""
    stopped_app(appd, tmp_path, port)
    log = appd.state_dir / "appd.db-wal"
    marks = [(log.stat().st_size, workers_of(appd))]
    for workers in range(2, 12):
        appd.ok("set", "web", "--workers", str(workers))
        marks.append((log.stat().st_size, workers))
    appd.kill9()
    database, written = (appd.state_dir / "appd.db").read_bytes(), log.read_bytes()
    assert len(written) == marks[-1][0], "the log was not taken over into the database meanwhile"
    copy = Appd(tmp_path / "copy" / "state")
    copy.state_dir.mkdir(parents=True)
    for number, cut in enumerate(cuts(len(written), int(40 * SECONDS))):
        if cut < marks[0][0]:
            continue  # when the app was made
        tail = b"" if number % 2 else random.Random(cut).randbytes(min(8192, len(written) - cut))
        shutil.rmtree(copy.state_dir)
        copy.state_dir.mkdir(mode=0o700)
        (copy.state_dir / "appd.db").write_bytes(database)
        (copy.state_dir / "appd.db-wal").write_bytes(written[:cut] + tail)
        if number % 40 == 0:  # by appd itself
            copy.start()
            found = workers_of(copy)
            assert copy.stop() == 0
        else:
            with sqlite3.connect(copy.state_dir / "appd.db") as opened:
                assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",), cut
            opened.close()
            found = stored(copy)["web"]["spec"]["workers"]
        acknowledged = max(workers for size, workers in marks if size <= cut)
        assert found in (acknowledged, acknowledged + 1), (cut, found)
    copy.remove()
    appd.start()
    assert workers_of(appd) == 11


def flipped(data: bytes) -> bytes:
    """Every page but the first has eight bits of its header and middle turned."""
    damaged = bytearray(data)
    for page in range(4096, len(data), 4096):
        for at in (page, page + 3, page + 8, page + 2048):
            damaged[at] ^= 0xFF
    return bytes(damaged)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "bits turned": flipped,
    "cut off": lambda data: data[: len(data) // 2 + 100],
    "empty": lambda data: b"",
    "another file": lambda data: b"[apps.web]\nworkers = 17\n" * 400,
    "zeros": lambda data: bytes(len(data)),
}


def test_a_damaged_state_file_is_refused_named_and_left_alone_while_the_apps_serve(
    appd: Appd, world: World, web: Site, tmp_path: Path
) -> None:
    before = world.settled(web=2)
    assert appd.ok("set", "web", "--timeout", "31s").exit == DONE
    database = appd.state_dir / "appd.db"
    with Crowd(web) as crowd:
        appd.kill9()
        # As a backup has it: the log taken over into the file.
        with sqlite3.connect(database) as opened:
            opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        opened.close()
        sound = database.read_bytes()
        for kind, damage in DAMAGE.items():
            database.write_bytes(damage(sound))
            database.with_name("appd.db-wal").unlink(missing_ok=True)
            damaged = database.read_bytes()
            failed = subprocess.run(appd.command(), capture_output=True, text=True, timeout=20)
            assert failed.returncode == 1, kind
            assert failed.stderr.count("\n") == 1 and str(database) in failed.stderr, f"{kind}: {failed.stderr}"
            assert database.read_bytes() == damaged, kind
        crowd.progress()
        database.write_bytes(sound)
        appd.start()
        after = world.settled(web=2)
    crowd.assert_nothing_lost()
    assert after == before


def test_a_state_file_that_somebody_locks_refuses_changes_in_bounded_time(appd: Appd, world: World, web: Site) -> None:
    appd.expect_error(STORE_TROUBLE)
    before = world.settled(web=2)
    foreign = sqlite3.connect(appd.state_dir / "appd.db", isolation_level=None)
    with Crowd(web) as crowd:
        foreign.execute("BEGIN IMMEDIATE")
        refused = appd.ctl("scale", "web", "--workers", "3").expect(FAILED)
        assert "locked" in refused.output
        assert appd.get("web")["spec"]["workers"] == 2
        crowd.progress()
        foreign.execute("ROLLBACK")
        appd.ok("scale", "web", "--workers", "3")
        after = world.settled(web=3)
    foreign.close()
    crowd.assert_nothing_lost()
    assert before["web"] < after["web"]


def test_a_state_directory_that_cannot_be_written_is_said(small_state: Path, idle_appd: Appd) -> None:
    remount = ["mount", "-o", "remount,ro", str(small_state)]
    if shutil.which("mount") is None or subprocess.run(remount, capture_output=True).returncode != 0:
        pytest.skip("the file system cannot be made read-only here")
    failed = subprocess.run(idle_appd.command(), capture_output=True, text=True, timeout=20)
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert str(small_state) in line and "Read-only file system" in line
