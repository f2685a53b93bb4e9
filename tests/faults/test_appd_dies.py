"""Faults 1 to 7, 27 and 35: appd is killed, stopped, kept from starting, or misled, and nobody who is served notices."""

import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

import pytest
from crowd import Crowd, Site, write_code
from harness import http, processes
from harness.appd import DONE, UNREACHABLE, Appd
from harness.apps import write_app
from harness.paths import APPCTL
from harness.ports import free_port
from harness.waiting import wait_until
from moments import let_pass, rounds, seeded
from world import World, families, zygote_of


def test_kill_9_of_appd_is_noticed_by_no_client(appd: Appd, world: World, web: Site, live: Site) -> None:
    before = world.settled(web=2, live=2)
    with Crowd(web, live) as crowd:
        appd.kill9()
        crowd.progress()
        appd.start()
        after = world.settled(web=2, live=2)
        crowd.progress()
    crowd.assert_nothing_lost()
    assert after == before, "the same processes serve on"


def change_something(appd: Appd, folder: Path, version: int, workers: int, kind: str) -> None:
    """Begins a good deploy, a bad one, or a scale to `workers`, and does not wait for its end."""
    if kind == "scale":
        appd.ok("scale", "web", "--workers", str(workers), "--no-wait")
        return
    write_code(folder, str(version), "this is no Python" if kind == "bad" else "")
    appd.ok("reload", "web", "--no-wait")


def test_kill_9_of_appd_at_random_moments_of_a_change_ends_in_what_was_asked_for(
    appd: Appd, world: World, web: Site, tmp_path: Path
) -> None:
    """Good and bad deploys, and scaling up and down. Every acknowledged change is finished or taken back by the next appd."""
    random = seeded()
    workers, served = 2, "1"
    world.settled(web=workers)
    with Crowd(web) as crowd:
        for number in rounds():
            kind = random.choice(["good", "bad", "scale"])
            if kind == "scale":
                workers = random.choice([count for count in range(1, 6) if count != workers])
            change_something(appd, tmp_path / "web", number + 1, workers, kind)
            let_pass(random.uniform(0, 0.3))
            appd.kill9()
            appd.start()
            world.settled(web=workers)
            served = str(number + 1) if kind == "good" else served
            assert http.request(web.port, "/version").text == served, kind
            last = appd.ok("operations", "web", "-o", "json").json["operations"][0]
            assert last["phase"] == ("ROLLED_BACK" if kind == "bad" else "SUCCEEDED"), last
        crowd.progress()
    crowd.assert_nothing_lost()


def test_a_stopped_appd_holds_up_no_client_and_catches_up(
    appd: Appd, world: World, web: Site, live: Site, tmp_path: Path
) -> None:
    idle = free_port()
    appd.create("idle", write_app(tmp_path / "idle"), idle, "--workers", "2").expect(DONE)
    before = world.settled(web=2, live=2, idle=2)
    victim = min(before["idle"])
    with Crowd(web, live) as crowd:
        os.kill(appd.pid, signal.SIGSTOP)
        os.kill(victim, signal.SIGKILL)
        crowd.progress()
        assert http.request(idle).text == "hello"
        os.kill(appd.pid, signal.SIGCONT)
        after = world.settled(web=2, live=2, idle=2)
        crowd.progress()
    crowd.assert_nothing_lost()
    assert (after["web"], after["live"]) == (before["web"], before["live"]), "nobody was taken for dead"
    (death,) = appd.ok("workers", "idle", "--dead", "-o", "json").json["deaths"]
    assert (death["pid"], death["cause"]) == (victim, "KILLED")


def test_a_crash_loop_of_appd_harms_no_app(appd: Appd, world: World, web: Site) -> None:
    before = world.settled(web=2)
    database = appd.state_dir / "appd.db"
    sound = database.read_bytes()
    with Crowd(web) as crowd:
        appd.kill9()
        wal = database.with_name("appd.db-wal")
        kept = wal.read_bytes()
        wal.unlink()
        database.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
        for _ in range(5):
            failed = subprocess.run(appd.command(), capture_output=True, text=True, timeout=20)
            assert failed.returncode == 1
            (line,) = failed.stderr.splitlines()
            assert line.startswith(f"appd: {database}")
        crowd.progress()
        database.write_bytes(sound)
        wal.write_bytes(kept)
        appd.start()
        after = world.settled(web=2)
    crowd.assert_nothing_lost()
    assert after == before


def test_a_process_that_got_the_number_of_a_zygote_is_left_alone(appd: Appd, world: World, web: Site) -> None:
    """What is recorded beside the control socket points at a stranger: same pid, another start time."""
    world.settled(web=2)
    appd.reboot()
    (record,) = (appd.runtime_dir / "zygotes").glob("*.pid")
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        started = processes.process(stranger.pid).start_time  # type: ignore[union-attr]
        record.write_text(f"{stranger.pid} {started - 1}\n")
        appd.start()
        world.settled(web=2)
        assert stranger.poll() is None, "a stranger was ended"
        assert not record.exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_change_that_kill_9_cuts_off_and_that_is_repeated_is_done_once(appd: Appd, world: World, web: Site) -> None:
    """Killed before the commit, between commit and answer, or behind it: the change is asked for again with its request id."""
    random = seeded()
    world.settled(web=2)
    revision = int(appd.ok("history", "web", "-o", "json").json["revisions"][0]["number"])
    for number in rounds():
        workers = 1 + number % 3 if number % 3 != 1 else 4  # never what is there already
        command = [str(APPCTL), "--address", appd.address, "scale", "web", "--workers", str(workers)]
        command += ["--request-id", str(uuid.uuid4()), "--no-wait"]
        asked = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        let_pass(random.uniform(0, 0.04))
        appd.kill9()
        appd.start()
        output, _ = asked.communicate(timeout=60)
        if asked.returncode == UNREACHABLE:  # killed before it was asked at all
            subprocess.run(command, capture_output=True, timeout=60, check=True)
        else:
            assert asked.returncode == DONE, output
        revision += 1
        newest = appd.ok("history", "web", "-o", "json").json["revisions"][0]
        assert int(newest["number"]) == revision, newest
        world.settled(web=workers)


def test_signals_by_hand_have_their_documented_effects(appd: Appd, world: World, web: Site, live: Site) -> None:
    """Bursts of them, to appd, zygotes and workers, under load."""
    before = world.settled(web=2, live=2)
    with Crowd(web, live) as crowd:
        for _ in range(20):
            os.kill(appd.pid, signal.SIGUSR1)
            os.kill(zygote_of("web"), signal.SIGUSR1)
        crowd.progress()
        assert world.settled(web=2, live=2) == before
        for pid in before["web"]:
            for _ in range(5):
                os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not any(processes.alive(pid) for pid in before["web"]), "those workers have drained")
        world.settled(web=2, live=2)
        zygote = zygote_of("live")
        for _ in range(5):
            os.kill(zygote, signal.SIGTERM)
        wait_until(lambda: not processes.alive(zygote), "that zygote has drained its workers")
        after = world.settled(web=2, live=2)
        crowd.progress()
    crowd.assert_nothing_lost()
    assert after["live"].isdisjoint(before["live"])


@pytest.mark.parametrize("alive", [False, True], ids=["appd_dead", "appd_alive"])
def test_what_an_emptied_runtime_directory_hid_is_replaced_and_no_request_lost(
    appd: Appd, world: World, web: Site, live: Site, alive: bool
) -> None:
    """A cleaner has removed every socket and record: the next appd finds its predecessor's zygotes by the copies in its state
    directory, and as it cannot speak to them, takes their workers for orphans."""
    world.settled(web=2, live=2)
    before = families()
    with Crowd(web, live) as crowd:
        if not alive:
            appd.kill9()
        shutil.rmtree(appd.runtime_dir)
        if alive:
            crowd.progress()
            appd.kill9()
        appd.start()
        crowd.progress()
        after = world.settled(web=2, live=2)
        crowd.progress()
    crowd.assert_nothing_lost()
    old = {one.pid for app in ("web", "live") for one in [*before[app].zygotes, *before[app].workers]}
    assert old.isdisjoint(after["web"] | after["live"])
    wait_until(lambda: not any(processes.alive(pid) for pid in old), "nothing of the old ones is left", 30)
    records = len(list((appd.state_dir / "zygotes").iterdir()))
    assert records == len(list(appd.runtime_dir.glob("zygotes/*.pid"))) == 2, "what is over is forgotten"


def test_an_appd_that_lost_its_runtime_directory_goes_on(appd: Appd, world: World, web: Site) -> None:
    """Its own socket is gone, which is for whoever restarts it; its zygotes it holds, and it can start others."""
    before = world.settled(web=2)
    with Crowd(web) as crowd:
        shutil.rmtree(appd.runtime_dir / "zygotes")
        for pid in before["web"]:
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not any(processes.alive(pid) for pid in before["web"]), "those workers have drained")
        world.settled(web=2)
        appd.ok("reload", "web")
        world.settled(web=2)
        crowd.progress()
    crowd.assert_nothing_lost()
