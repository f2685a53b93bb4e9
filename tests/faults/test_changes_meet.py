"""Faults 52, 53, 55 and 57: changes that meet, clients that contend or do not listen, and code that vanishes."""

import os
import shutil
import signal
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowd import Crowd, Site
from harness import http, processes
from harness.appd import CONFLICT, DONE, UNREACHABLE, Appd
from harness.apps import write_app
from harness.events import Events
from harness.ports import free_port
from harness.waiting import wait_until
from moments import rounds, seeded
from world import World

SUPERSEDED_OR_DONE = (DONE, CONFLICT)


def test_changes_at_once_end_in_one_defined_state(appd: Appd, world: World, web: Site) -> None:
    """Reloads, scales and settings from five clients: each is told its true end, and the newest of each kind holds."""
    world.settled(web=2)
    random = seeded()
    begun = int(appd.observed("web")["rollout"])
    reloads = 0
    with Crowd(web) as crowd, ThreadPoolExecutor(5) as clients:
        for _ in rounds(5):
            verbs: list[tuple[str, ...]] = [("reload", "web"), ("reload", "web")]
            verbs += [("scale", "web", "--workers", str(random.randint(1, 4))) for _ in range(2)]
            verbs.append(("set", "web", "--env", f"CHOSEN={random.random()}"))
            random.shuffle(verbs)
            outcomes = list(clients.map(lambda verb: appd.ctl(*verb), verbs))
            assert all(one.exit in SUPERSEDED_OR_DONE for one in outcomes), [one.output for one in outcomes]
            reloads += 3
            spec = appd.get("web")["spec"]
            world.settled(web=spec["workers"])
            # The history explains it: its newest revision is what serves.
            newest = appd.ok("history", "web", "-o", "json").json["revisions"]
            assert newest[0]["outcome"] == "SUCCEEDED", newest[0]
            assert int(appd.observed("web")["rollout"]) == begun + reloads
        crowd.progress()
    crowd.assert_nothing_lost()


def revisions(appd: Appd, name: str) -> list[dict[str, Any]]:
    return appd.ok("history", name, "-o", "json").json["revisions"]


def test_changes_of_many_callers_that_kill_9_cuts_off_are_each_done_once(appd: Appd, tmp_path: Path) -> None:
    """They share transactions. Killed at any moment of these, appd is asked again with the same request id."""
    random = seeded()
    names = [f"app{number}" for number in range(8)]
    folder = write_app(tmp_path / "code")
    for name in names:
        appd.create(name, folder, free_port()).expect(DONE)
        appd.ok("stop", name)
    first = {name: int(revisions(appd, name)[0]["number"]) for name in names}
    for number in rounds():
        commands = {name: ("scale", name, "--workers", str(number + 1), "--no-wait", "--request-id", str(uuid.uuid4())) for name in names}
        with ThreadPoolExecutor(len(names)) as callers:
            asked = {name: callers.submit(appd.ctl, *command) for name, command in commands.items()}
            signal.sigtimedwait([], random.uniform(0, 0.1))
            appd.kill9()
            appd.start()
        for name, command in commands.items():
            outcome = asked[name].result()
            if outcome.exit == UNREACHABLE:  # killed before it was asked at all
                outcome = appd.ctl(*command)
            assert outcome.exit == DONE, outcome.output
            newest = revisions(appd, name)[0]
            assert (int(newest["number"]), appd.get(name)["spec"]["workers"]) == (first[name] + number, number + 1)


def test_delete_in_the_middle_of_a_deploy_leaves_nothing(appd: Appd, world: World, web: Site, live: Site) -> None:
    random = seeded()
    world.settled(web=2, live=2)
    appd.ok("reload", "web", "--no-wait")
    signal.sigtimedwait([], random.uniform(0, 0.2))
    appd.ok("delete", "web")
    world.settled(live=2)
    assert http.refused(web.port)


@dataclass(frozen=True)
class Read:
    etag: str
    workers: int


def test_contending_clients_see_one_history(appd: Appd, world: World, port: int, tmp_path: Path) -> None:
    """Compare and set from four clients at once: the recorded outcomes are those of one register, as the history tells it."""
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    appd.ok("stop", "web")
    won: list[tuple[Read, int]] = []
    conflicts = 0
    lock = threading.Lock()

    def contend(number: int) -> None:
        nonlocal conflicts
        for step in range(12):
            app = appd.get("web")
            read = Read(app["etag"], app["spec"]["workers"])
            wanted = 100 * (number + 1) + step  # nobody else's
            outcome = appd.ctl("scale", "web", "--workers", str(wanted), "--etag", read.etag)
            with lock:
                if outcome.exit == DONE:
                    won.append((read, wanted))
                else:
                    assert outcome.exit == CONFLICT, outcome.output
                    conflicts += 1

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) + conflicts == 48 and conflicts > 0
    # A register: each success has read what the success before it has written, and none has read the same.
    written = dict((wanted, read.workers) for read, wanted in won)
    chain, value = [], appd.get("web")["spec"]["workers"]
    while value != 1:
        chain.append(value)
        value = written.pop(value)
    assert not written, f"written over unseen: {written}"
    assert len({read.etag for read, _ in won}) == len(won)
    # The history is that chain.
    revisions = appd.ok("history", "web", "-o", "json").json["revisions"]
    told = [one["spec"]["workers"] for one in revisions if one.get("method") == "ScaleApp"]
    assert told == chain


def test_a_follower_that_does_not_read_holds_nobody_up_and_catches_up(
    appd: Appd, world: World, web: Site
) -> None:
    world.settled(web=2)
    follower = Events(appd)
    try:
        os.kill(follower.pid, signal.SIGSTOP)
        before = processes.resident_kb(appd.pid)
        for number in range(60):
            appd.ok("set", "web", "--env", f"NOISE={number}-{'x' * 20000}", "--no-wait")
        appd.ok("set", "web", "--env", "NOISE=", "--timeout", "77s")
        world.settled(web=2)
        assert processes.resident_kb(appd.pid) < before + 64 * 1024
        os.kill(follower.pid, signal.SIGCONT)
        follower.wait_for(lambda event: event.get("app", {}).get("spec", {}).get("timeout") == "77s", "the newest state")
    finally:
        os.kill(follower.pid, signal.SIGCONT)
        follower.close()


def replaced(folder: Path) -> None:
    shutil.rmtree(folder)
    write_app(folder, version="2")


def half_copied(folder: Path) -> None:
    text = (folder / "wsgi.py").read_text()
    (folder / "wsgi.py").write_text(text[: len(text) // 2])


VANISHING: dict[str, Callable[[Path], None]] = {"deleted": shutil.rmtree, "replaced": replaced, "half copied": half_copied}


def test_workers_come_back_from_the_code_that_serves_whatever_became_of_its_directory(
    appd: Appd, world: World, port: int, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    for kind, vanish in VANISHING.items():
        vanish(folder)
        before = world.settled(web=2)["web"]
        for victim in before:
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: victim not in appd.ready_pids("web"), "it is missed")
        assert world.settled(web=2)["web"].isdisjoint(before)
        assert http.request(port, "/version").text == "1", kind
        if kind != "replaced":
            assert appd.ctl("reload", "web").exit != DONE, kind
            assert http.request(port, "/version").text == "1", kind
        write_app(folder, version="1")
