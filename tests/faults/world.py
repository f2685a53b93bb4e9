"""The invariants: what appd says, what its store holds, and what the kernel shows must be one and the same.

I1 no accepted request lost: the crowd's (crowd.py). I2 acknowledged state is kept: store and API agree. I3 no orphans:
each process belongs to an app that runs. I4 one set of workers of one rollout. I5 it converges: all of this within a
deadline. I6 appd answers: everything here asks it. I7 nothing leaks: descriptors and threads of appd, and what the
fixture looks at after every test. I8 the cause is visible: each test looks for its own."""

import json
import os
import re
import resource
import sqlite3
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import checks, processes
from harness.appd import Appd
from harness.processes import Process
from harness.waiting import wait_until
from moments import let_pass

SETTLE_TIMEOUT = 40.0
ZYGOTE = re.compile(r" zygote (\S+) rollout (\d+) --fd 3$")
# gRPC makes some of its descriptors and threads when a client comes, and keeps them for a moment.
SLACK = 8


@dataclass(frozen=True)
class Family:
    """One app's processes as the kernel shows them."""

    zygotes: frozenset[Process]
    workers: frozenset[Process]
    rollouts: frozenset[int]


def is_worker(process: Process) -> bool:
    """The kernel's name of a worker is "appd:web:3", of its zygote "appd:web"."""
    return process.name.count(":") == 2


def families() -> dict[str, Family]:
    """All apps' processes among the descendants of this one: those of other appds on the host are not."""
    found: dict[str, list[tuple[Process, int]]] = {}
    for process in processes.descendants(os.getpid()):
        if not process.zombie and (match := ZYGOTE.search(process.command_line())):
            found.setdefault(match[1], []).append((process, int(match[2])))
    return {
        name: Family(
            frozenset(one for one, _ in members if not is_worker(one)),
            frozenset(one for one, _ in members if is_worker(one)),
            frozenset(rollout for _, rollout in members),
        )
        for name, members in found.items()
    }


def children_of(zygotes: frozenset[Process]) -> frozenset[Process]:
    """The workers of a pool of a command, which bear the program's name."""
    parents = {one.pid for one in zygotes}
    return frozenset(one for one in processes.descendants(os.getpid()) if one.parent in parents and not one.zombie)


def zygote_of(app: str) -> int:
    (zygote,) = families()[app].zygotes
    return zygote.pid


def stored(appd: Appd) -> dict[str, dict[str, Any]]:
    """The apps as they are on disk."""
    database = sqlite3.connect(f"file:{appd.state_dir}/appd.db?mode=ro", uri=True, timeout=5)
    try:
        rows = database.execute("SELECT id, spec, generation, rollout, deleting FROM apps").fetchall()
    finally:
        database.close()
    return {
        name: {"spec": json.loads(spec), "generation": generation, "rollout": rollout}
        for name, spec, generation, rollout, deleting in rows
        if not deleting
    }


def processor_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def is_idle(pid: int) -> bool:
    """Whether a second has passed in which it took less than a twentieth of a processor."""
    before = processor_ticks(pid)
    let_pass(1.0)
    return processor_ticks(pid) - before < os.sysconf("SC_CLK_TCK") / 20


def leave_descriptors(pid: int, number: int) -> tuple[int, int]:
    """So many more may it have, wherever there are gaps in those that it has. The limit that it had before."""
    former = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    held = processes.open_files(pid)
    limit = 0
    while number >= 0:
        number -= limit not in held
        limit += 1
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit - 1, former[1]))
    return former


class World:
    """Compares until all is one, or the deadline has passed. A test that kills appd makes one before."""

    def __init__(self, appd: Appd) -> None:
        self.appd = appd
        self._held: tuple[int, int] | None = None  # descriptors and threads of appd with these apps

    def settled(self, **workers: int) -> dict[str, set[int]]:
        """Everything is as asked: so many workers of each app, and no other app. Their pids."""
        problems: list[str] = []

        def at_one() -> bool:
            problems[:] = self._problems(workers)
            return not problems

        try:
            wait_until(at_one, "the world is as asked for", SETTLE_TIMEOUT)
        except AssertionError as late:
            raise AssertionError("\n  ".join([str(late), *problems])) from None
        for problem in checks.worker_descriptors(self.appd):
            raise AssertionError(problem)
        return {name: self.appd.ready_pids(name) for name in workers}

    def _problems(self, asked: dict[str, int]) -> list[str]:
        processes.reap_adopted([self.appd.pid])
        listed = {app["name"].removeprefix("apps/"): app for app in self.appd.apps()}
        disk = stored(self.appd)
        shown = families()
        problems = []
        if not set(listed) == set(disk) == set(asked):
            problems.append(f"apps: asked for {sorted(asked)}, the API has {sorted(listed)}, the store {sorted(disk)}")
            return problems
        for name in set(shown) - set(asked):
            problems.append(f"{name}: processes of an app that is not there: {shown[name]}")
        for name, workers in asked.items():
            family = shown.get(name)
            if family and listed[name]["spec"].get("command"):
                family = replace(family, workers=children_of(family.zygotes))
            problems += self._problems_of(name, workers, listed[name], disk[name], family)
        problems += [f"zombie: {one}" for one in processes.descendants(self.appd.pid) if one.zombie]
        if not problems:
            problems += self._leaks()
        return problems

    def _problems_of(
        self, name: str, workers: int, app: dict[str, Any], disk: dict[str, Any], shown: Family | None
    ) -> list[str]:
        observed = app["observed"]
        figures = {
            "workers of the spec": app["spec"]["workers"],
            "workers in the store": disk["spec"].get("workers"),
            "workers that accept": observed["ready_workers"],
            "workers in /proc": len(shown.workers) if shown else 0,
        }
        problems = [f"{name}: {what}: {count}, not {workers}" for what, count in figures.items() if count != workers]
        if observed["state"] != "ACTIVE" or observed["generation"] != app["generation"]:
            problems.append(f"{name}: {observed['state']}, generation {observed['generation']} of {app['generation']}")
        if int(app["generation"]) != disk["generation"]:
            problems.append(f"{name}: generation {app['generation']}, in the store {disk['generation']}")
        if shown is None:
            return problems
        if len(shown.zygotes) != 1 or shown.rollouts != {int(observed["rollout"])}:
            problems.append(f"{name}: serves rollout {observed['rollout']}, but there are {shown}")
        listed = self.appd.workers(name)
        if {one["pid"] for one in listed} != {one.pid for one in shown.workers}:
            problems.append(f"{name}: the API has workers {[one['pid'] for one in listed]}, /proc {shown.workers}")
        if not {one.parent for one in shown.workers} <= {one.pid for one in shown.zygotes}:
            problems.append(f"{name}: workers without their zygote: {shown}")
        return problems

    def _leaks(self) -> list[str]:
        """Against the first time that all was well; the same number of apps and workers is the caller's affair."""
        now = (len(processes.open_files(self.appd.pid)), processes.threads(self.appd.pid))
        if self._held is None:
            self._held = now
        return [
            f"appd has {count} {what}, and had {before}"
            for what, count, before in zip(("descriptors", "threads"), now, self._held)
            if count > before + SLACK
        ]
