"""Faults 8, 9 and 14: zygotes that are killed, at rest and in the middle of a deploy, and imports that eat the processor."""

import os
import signal
import threading
from pathlib import Path

from crowd import Crowd, Site, write_code
from harness import http, processes
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.events import Events
from harness.ports import free_port
from harness.waiting import wait_until
from moments import let_pass, rounds, seeded
from world import World, families, zygote_of


def test_kill_9_of_a_zygote_is_noticed_by_no_client(
    appd: Appd, world: World, web: Site, live: Site, events: Events
) -> None:
    """Its workers serve on until those of a new one do: never does nobody listen."""
    before = world.settled(web=2, live=2)
    with Crowd(web, live) as crowd:
        for site in (web, live):
            os.kill(zygote_of(site.name), signal.SIGKILL)
        wait_until(lambda: not any(processes.alive(pid) for one in before.values() for pid in one), "all are replaced", 40)
        after = world.settled(web=2, live=2)
        crowd.progress()
    crowd.assert_nothing_lost()
    assert after["web"].isdisjoint(before["web"]) and after["live"].isdisjoint(before["live"])
    events.wait_for(lambda event: "zygote of rollout 1 was killed" in str(event.get("note")), "a word on it")


def test_kill_9_of_a_zygote_at_random_moments_of_a_deploy_ends_with_one_generation(
    appd: Appd, world: World, web: Site, tmp_path: Path
) -> None:
    """The old one or the new one: the deploy is carried out or taken back, and somebody serves all the time."""
    random = seeded()
    world.settled(web=2)
    with Crowd(web) as crowd:
        for number in rounds():
            before = http.request(web.port, "/version").text
            write_code(tmp_path / "web", str(number + 1))
            appd.ok("reload", "web", "--no-wait")
            let_pass(random.uniform(0, 0.25))
            victim = random.choice(sorted(one.pid for one in families()["web"].zygotes))
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: not processes.alive(victim), "it is dead")
            world.settled(web=2)
            # A zygote that starts anew loads what is there now.
            assert http.request(web.port, "/version").text in (before, str(number + 1))
            last = appd.ok("operations", "web", "-o", "json").json["operations"][0]
            assert last["phase"] in ("SUCCEEDED", "ROLLED_BACK"), last
            appd.ok("reload", "web")
            assert http.request(web.port, "/version").text == str(number + 1)
        crowd.progress()
    crowd.assert_nothing_lost()


def test_an_import_that_eats_its_processor_holds_up_neither_appd_nor_others(
    appd: Appd, world: World, web: Site, tmp_path: Path
) -> None:
    world.settled(web=2)
    done = tmp_path / "enough"
    hungry = write_app(tmp_path / "hungry", extra=f"while not os.path.exists({str(done)!r}): pass")
    port = free_port()
    with Crowd(web) as crowd:
        create = threading.Thread(target=lambda: appd.create("hungry", hungry, port, "--boot-timeout", "60s").expect(DONE))
        create.start()
        wait_until(lambda: "hungry" in families(), "it is being imported")
        appd.ok("scale", "web", "--workers", "3")
        crowd.progress()
        assert appd.observed("hungry")["state"] == "STARTING"
        done.touch()
        create.join()
    crowd.assert_nothing_lost()
    world.settled(web=3, hungry=1)
