"""Faults 17, 22, 24, 26, 28 and 31: workers that are killed, full, out of descriptors, out of processes, or that spoil
the socket that they share."""

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from crowd import PATHS, Crowd, Site
from explain import account
from harness import http, processes
from harness.appd import DONE, FAILED, Appd
from harness.apps import write_app
from harness.waiting import wait_until
from moments import let_pass, seeded
from world import World, is_idle, leave_descriptors, zygote_of



def deaths(appd: Appd, name: str) -> list[dict[str, Any]]:
    return appd.ok("workers", name, "--dead", "-o", "json").json.get("deaths", [])


def test_kill_9_of_workers_costs_what_they_had_in_hand_and_nothing_else(
    appd: Appd, world: World, web: Site, live: Site
) -> None:
    """Each lost request is accounted for by a certificate: named as in hand, or on a connection of the dead."""
    random = seeded()
    world.settled(web=2, live=2)
    killed: dict[str, list[int]] = {"web": [], "live": []}
    with Crowd(web, live) as crowd:
        for name in ("web", "live") * 2:
            victim = random.choice(sorted(appd.ready_pids(name)))
            let_pass(random.uniform(0, 0.1))
            os.kill(victim, signal.SIGKILL)
            killed[name].append(victim)
            wait_until(lambda: victim not in appd.ready_pids(name), "it is missed")
            world.settled(web=2, live=2)
        crowd.progress()
    for site in (web, live):
        certificates = deaths(appd, site.name)
        assert sorted(one["pid"] for one in certificates) == sorted(killed[site.name])
        lost = [one for one in crowd.lost if one.site == site.name]
        assert not account(lost, certificates, PATHS).unexplained, (crowd.lost, certificates)


def test_when_every_worker_is_busy_others_wait_and_that_is_shown(appd: Appd, port: int, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    source = f"""
import os, time

def app(environ, start_response):
    while environ["PATH_INFO"] == "/hold" and not os.path.exists({str(gate)!r}):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
"""
    appd.create("web", write_app(tmp_path / "web", source=source), port, "--workers", "2", "--timeout", "0").expect(DONE)
    with ExitStack() as stack:
        clients = [stack.enter_context(http.connect(port)) for _ in range(4)]
        for client in clients[:2]:
            client.sendall(b"GET /hold HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        wait_until(lambda: [one["busy"] for one in appd.workers("web")] == [1, 1], "the pool is full")
        for client in clients[2:]:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert appd.ok("status").exit == DONE
        gate.touch()
        assert [http.status_of(http.read_to_end(client)) for client in clients] == [200] * 4


def test_a_listening_socket_that_a_worker_shuts_down_listens_again(
    appd: Appd, world: World, port: int, tmp_path: Path
) -> None:
    """Shutdown(2) reaches through every copy of the descriptor: all siblings', and appd's."""
    extra = """
import gc, socket
def spoil():
    for number in range(3, 64):
        try:
            one = socket.socket(fileno=os.dup(number))
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
"""
    folder = write_app(tmp_path / "web", extra=extra)
    text = (folder / "wsgi.py").read_text().replace('path == "/pid":', 'path == "/pid":\n        spoil()')
    (folder / "wsgi.py").write_text(text)
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    before = world.settled(web=2)
    for _ in range(3):
        assert http.request(port, "/pid").status == 200
        wait_until(lambda: not http.refused(port), "it listens again")
        assert http.request(port).text == "hello"
    assert world.settled(web=2) == before, "nobody had to be replaced"
    assert "event=listener_revived" in next(iter(appd.app_logs().values()))


def test_a_storm_of_orphans_is_buried_by_the_zygote(appd: Appd, world: World, port: int, tmp_path: Path) -> None:
    source = """
import subprocess

def app(environ, start_response):
    subprocess.run(["sh", "-c", "for i in $(seq 500); do true & done"], check=True)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""
    appd.create("web", write_app(tmp_path / "web", source=source), port, "--workers", "2").expect(DONE)
    before = world.settled(web=2)
    zygote = zygote_of("web")
    for _ in range(4):
        assert http.request(port, timeout=60).status == 200
    wait_until(lambda: len(processes.descendants(zygote)) == 2, "only its workers are left")
    assert world.settled(web=2) == before
    wait_until(lambda: is_idle(zygote), "the zygote sleeps again", 20)


@contextmanager
def few_processes(pid: int) -> Iterator[Path]:
    """A cgroup with this process in it, of version 1 or 2; the file of its limit."""
    root = Path("/sys/fs/cgroup/pids")
    if not (root / "cgroup.procs").exists():
        root = Path("/sys/fs/cgroup")
    group = root / f"appd-faults-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    try:
        if not (group / "pids.max").exists():
            pytest.skip("no cgroup counts processes here")
        (group / "cgroup.procs").write_text(str(pid))
        yield group / "pids.max"
    finally:
        for member in (group / "cgroup.procs").read_text().split():
            (root / "cgroup.procs").write_text(member)
        group.rmdir()


def test_a_fork_that_the_system_refuses_is_told_and_tried_again(appd: Appd, world: World, web: Site) -> None:
    before = world.settled(web=2)
    with Crowd(web) as crowd:
        with few_processes(zygote_of("web")) as limit:
            limit.write_text("1")
            refused = appd.ctl("scale", "web", "--workers", "4").expect(FAILED)
            assert "Resource temporarily unavailable" in refused.output
            assert appd.ready_pids("web") == before["web"]
            assert appd.observed("web")["process_state"] == "BACKOFF"
            crowd.progress()
            limit.write_text("max")
            after = world.settled(web=4)
    crowd.assert_nothing_lost()
    assert before["web"] < after["web"]


def who_serve_two(port: int) -> set[str]:
    """Pids of those who answer two slow requests that come at once: of sync workers, two."""
    with http.connect(port) as first, http.connect(port) as second:
        for client in (first, second):
            client.sendall(b"GET /slow?ms=200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answers = [http.read_to_end(client).decode() for client in (first, second)]
    return {line.partition(": ")[2] for answer in answers for line in answer.splitlines() if line.startswith("X-Worker-Pid")}


@pytest.mark.parametrize("left", [0, 3])  # with none it has no client whose going could tell it to try again
def test_a_worker_without_descriptors_leaves_clients_to_others_and_recovers(
    appd: Appd, world: World, port: int, tmp_path: Path, left: int
) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    victim = min(world.settled(web=2)["web"])
    former = leave_descriptors(victim, left)
    with ExitStack() as stack:
        for _ in range(24):  # kept open: far more than it can take
            client = stack.enter_context(http.connect(port))
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert http.status_of(client.recv(65536)) == 200
        who_serve_two(port)
        wait_until(lambda: is_idle(victim), "it does not spin", 20)
    resource.prlimit(victim, resource.RLIMIT_NOFILE, former)
    wait_until(lambda: str(victim) in who_serve_two(port), "it takes clients again", 30)
    assert victim in world.settled(web=2)["web"]
