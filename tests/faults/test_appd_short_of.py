"""Fault 30: appd has no descriptors left. What serves is served, nothing spins, and it recovers by itself."""

import resource
import socket
import subprocess
from collections import Counter
from contextlib import ExitStack

from crowd import Crowd, Site
from harness import http, processes
from harness.appd import DONE, ROLLED_BACK, UNREACHABLE, Appd
from harness.events import Events
from harness.waiting import wait_until
from world import World, families, is_idle, leave_descriptors


def test_an_appd_without_descriptors_does_not_spin_and_its_pools_are_kept(appd: Appd, world: World, web: Site) -> None:
    world.settled(web=2)
    with Crowd(web) as crowd, ExitStack() as stack:
        former = leave_descriptors(appd.pid, 4)
        for _ in range(20):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(appd.socket_path))
        wait_until(lambda: is_idle(appd.pid), "it does not spin", 20)
        (zygote,) = families()["web"].zygotes
        victim = min(one.pid for one in families()["web"].workers)
        crowd.progress()
        stack.close()
        resource.prlimit(appd.pid, resource.RLIMIT_NOFILE, former)
        wait_until(lambda: appd.ctl("list", timeout=60).exit == DONE, "it answers again", 60)
        assert zygote in families()["web"].zygotes and processes.alive(victim)
        world.settled(web=2)
    crowd.assert_nothing_lost()


def test_a_reload_that_runs_out_of_descriptors_at_any_point_leaves_the_old_code_serving(
    appd: Appd, world: World, web: Site
) -> None:
    """One more is left with each try, until it works."""
    world.settled(web=2)
    follower = Events(appd)  # gRPC's own descriptors are there as long as somebody is
    endings: Counter[int] = Counter()
    told = False
    with Crowd(web) as crowd:
        for number in range(2, 40):
            former = leave_descriptors(appd.pid, number)
            try:
                outcome = appd.ctl("reload", "web", timeout=20)
                endings[outcome.exit] += 1
                told |= outcome.exit == ROLLED_BACK and "Too many open files" in outcome.output
                assert outcome.exit in (DONE, ROLLED_BACK, UNREACHABLE), outcome.output
            except subprocess.TimeoutExpired:
                endings[UNREACHABLE] += 1
            finally:
                assert appd.running, appd.log()
                resource.prlimit(appd.pid, resource.RLIMIT_NOFILE, former)
            assert http.request(web.port).status == 200
            if endings[DONE]:
                break
        crowd.progress()
        follower.close()
        world.settled(web=2)
    crowd.assert_nothing_lost()
    assert endings[DONE] == 1 and told, endings
