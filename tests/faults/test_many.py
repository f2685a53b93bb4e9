"""Faults 64 and 65: many apps that crash at once, and many deploys."""

from pathlib import Path

import pytest

from harness import http, processes
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.ports import free_port
from harness.waiting import wait_until
from world import World, families

DEPLOYS = 2000


def pools(appd: Appd, tmp_path: Path, apps: int, workers: int) -> dict[str, int]:
    """So many apps of so many workers, by one manifest; their ports."""
    ports = {f"app{number}": free_port() for number in range(apps)}
    folder = write_app(tmp_path / "app")
    manifest = tmp_path / "apps.toml"
    manifest.write_text(
        "".join(
            f'[apps.{name}]\ndirectory = "{folder}"\napp = "wsgi:app"\nbind = ["127.0.0.1:{port}"]\nworkers = {workers}\n'
            for name, port in ports.items()
        )
    )
    appd.ctl("apply", "-f", str(manifest), timeout=600).expect(DONE)
    return ports


def crash_all(appd: Appd, tmp_path: Path, apps: int, workers: int) -> None:
    ports = pools(appd, tmp_path, apps, workers)
    world = World(appd)
    asked = dict.fromkeys(ports, workers)
    before = world.settled(**asked)
    for family in families().values():  # the workers, and then their zygotes too
        processes.kill_for_good(family.workers)
    wait_until(lambda: not any(processes.alive(pid) for pids in before.values() for pid in pids), "all are dead")
    again = world.settled(**asked)
    for family in families().values():
        processes.kill_for_good([*family.zygotes, *family.workers])
    third = world.settled(**asked)
    for name, port in ports.items():
        assert http.request(port).text == "hello"
        assert again[name].isdisjoint(before[name]) and third[name].isdisjoint(again[name])


def test_ten_apps_that_crash_at_once_all_come_back(appd: Appd, tmp_path: Path) -> None:
    crash_all(appd, tmp_path, 10, 4)


@pytest.mark.long
def test_a_hundred_apps_that_crash_at_once_all_come_back(appd: Appd, tmp_path: Path) -> None:
    crash_all(appd, tmp_path, 100, 4)


@pytest.mark.long
def test_two_thousand_deploys_leave_appd_as_it_was(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    world = World(appd)
    sizes = []
    for number in range(DEPLOYS):
        appd.ok("reload", "web")
        if number % 100 == 99:
            world.settled(web=2)  # descriptors and threads
            disk = sum(file.stat().st_size for file in appd.state_dir.glob("appd.db*"))
            sizes.append((processes.resident_kb(appd.pid), disk))
    # Once history and operations are as long as they get.
    memory, disk = zip(*sizes[5:])
    assert max(memory) < memory[0] + 4096, memory
    assert max(disk) < disk[0] + (5 << 20), disk
    assert http.request(port).text == "hello"
