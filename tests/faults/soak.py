#!/usr/bin/python3
"""The soak: apps of several classes under constant load, and in turn at random everything that is asked of an appd and
everything that is done to it. At the end every lost request is accounted for by the certificate of a worker that was
killed, nothing has grown, and all is as asked for."""

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from crowd import PATHS, QUIET_KINDS, Crowd, Site, write_code  # noqa: E402
from explain import Account, account  # noqa: E402
from harness import http, processes  # noqa: E402
from harness.appd import DONE, ROLLED_BACK, Appd  # noqa: E402
from harness.ports import free_port  # noqa: E402
from harness.waiting import wait_until  # noqa: E402
from moments import let_pass  # noqa: E402
from world import World, families, zygote_of  # noqa: E402

WORKERS = 3
SETTLE_S = 60.0
# What a process may have grown by from the first quarter to the last: arenas of allocators fill up for a while.
GROWTH, GROWTH_KB = 0.15, 4096
CLASSES = {
    "sync": ("sync", "app"),
    "gthread": ("gthread", "app"),
    "gevent": ("gevent", "app"),
    "tornado": ("tornado", "app"),
    "asgi": ("asgi", "live"),
}
# A pool of a command, beside them.
TICKER = 'import time\nwhile True:\n    print("tick", flush=True)\n    time.sleep(0.5)\n'
SECONDS_BETWEEN = 0.5


@dataclass
class Tally:
    times: int = 0
    ok: int = 0
    longest_s: float = 0.0


@dataclass
class Footprint:
    """What appd and its family take of the host."""

    descriptors: int
    threads: int
    processes: int
    appd_kb: int
    zygote_kb: float  # on average


@dataclass
class Outcome:
    seed: int
    seconds: float
    tallies: dict[str, Tally]
    answered: Counter[tuple[str, str]]
    accounts: dict[str, Account]
    killed: int
    certificates: int
    sent_away: int
    begin: Footprint
    end: Footprint
    quarters: dict[str, tuple[float, float]]
    problems: list[str] = field(default_factory=list)


class Soak:
    def __init__(self, appd: Appd, folder: Path, seed: int) -> None:
        self.appd = appd
        self.folder = folder
        self.random = random.Random(seed)
        self.seed = seed
        self.world = World(appd)
        self.sites: list[Site] = []
        self.workers: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.killed: dict[str, list[int]] = {}
        self.tallies: dict[str, Tally] = {}
        self.samples: list[Footprint] = []
        self.problems: list[str] = []
        self.deeds: dict[str, Callable[[], None]] = {
            "scale up or down": self.scale,
            "change threads": self.threads,
            "reload": self.reload,
            "deploy good code": self.deploy,
            "deploy bad code": self.deploy_bad,
            "kill -9 a worker": self.kill_worker,
            "kill -9 a zygote": self.kill_zygote,
            "kill -9 appd": self.kill_appd,
            "kill -9 appd in a deploy": self.kill_appd_in_a_deploy,
        }

    # --- the apps ---------------------------------------------------------------------------------

    def set_up(self) -> None:
        for name, (worker_class, app) in CLASSES.items():
            site = Site(name, free_port(), live=app == "live")
            self.write_code(name, 1)
            options = ["--worker-class", worker_class, "--workers", str(WORKERS)]
            options += ["--threads", "4"] if name == "gthread" else []
            options += ["--ws-drain-timeout", "500ms"] if site.live else []
            self.appd.create(name, self.folder / name, site.port, *options, app=f"every_kind:{app}").expect(DONE)
            self.sites.append(site)
            self.workers[name], self.versions[name], self.killed[name] = WORKERS, 1, []
        (self.folder / "ticker").mkdir()
        (self.folder / "ticker" / "ticker.py").write_text(TICKER)
        command = ("--command", "python3 ticker.py", "--startsecs", "100ms", "--workers", "2")
        self.appd.ok("create", "ticker", "--directory", str(self.folder / "ticker"), *command)

    def write_code(self, name: str, version: int, more: str = "") -> None:
        write_code(self.folder / name, str(version), more)

    def version_of(self, name: str) -> int:
        return int(http.request(self.site(name).port, "/version").text)

    def site(self, name: str) -> Site:
        return next(one for one in self.sites if one.name == name)

    def any_app(self) -> str:
        return self.random.choice(self.sites).name

    # --- what is asked of appd --------------------------------------------------------------------

    def scale(self) -> None:
        name = self.any_app()
        self.workers[name] = self.random.choice([count for count in range(2, 6) if count != self.workers[name]])
        self.appd.ok("scale", name, "--workers", str(self.workers[name]))

    def threads(self) -> None:
        self.appd.ok("scale", "gthread", "--threads", str(self.random.randint(2, 8)))

    def reload(self) -> None:
        self.appd.ok("reload", self.random.choice([*self.workers, "ticker"]))

    def next_version(self, name: str) -> int:
        self.versions[name] += 1
        self.write_code(name, self.versions[name])
        return self.versions[name]

    def deploy(self) -> None:
        name = self.any_app()
        version = self.next_version(name)
        self.appd.ok("reload", name, "--reason", f"version {version}")
        assert self.version_of(name) == version

    def deploy_bad(self) -> None:
        name = self.any_app()
        before = self.version_of(name)
        self.write_code(name, self.versions[name] + 1, "\nthis is no Python\n")
        try:
            refused = self.appd.ctl("reload", name).expect(ROLLED_BACK)
            assert "SyntaxError" in refused.output
            assert self.version_of(name) == before
        finally:
            self.write_code(name, self.versions[name])

    # --- what is done to it -----------------------------------------------------------------------

    def kill_worker(self) -> None:
        name = self.any_app()
        victim = self.random.choice(sorted(self.appd.ready_pids(name)))
        os.kill(victim, signal.SIGKILL)
        self.killed[name].append(victim)

    def kill_zygote(self) -> None:
        name = self.any_app()
        wait_until(lambda: len(families()[name].zygotes) == 1, "the last change is over", SETTLE_S)
        zygote = zygote_of(name)
        os.kill(zygote, signal.SIGKILL)

        def replaced() -> bool:
            family = families()[name]
            return zygote not in {one.pid for one in family.zygotes} and self.workers_have_a_zygote(name)

        wait_until(replaced, f"{name} has a new zygote and workers of its own", SETTLE_S)

    def workers_have_a_zygote(self, name: str) -> bool:
        family = families()[name]
        zygotes = {one.pid for one in family.zygotes}
        return len(family.workers) >= self.workers[name] and {one.parent for one in family.workers} == zygotes

    def kill_appd(self) -> None:
        self.appd.kill9()
        self.appd.start()

    def kill_appd_in_a_deploy(self) -> None:
        name = self.any_app()
        version = self.next_version(name)
        self.appd.ok("reload", name, "--no-wait")
        let_pass(self.random.uniform(0, 0.4))
        self.kill_appd()

        def serves() -> bool:
            return self.appd.observed(name)["state"] == "ACTIVE" and self.version_of(name) == version

        wait_until(serves, f"version {version} of {name} serves", SETTLE_S)

    # --- the run ----------------------------------------------------------------------------------

    def footprint(self) -> Footprint:
        family = processes.descendants(self.appd.pid)
        zygotes = [one.pid for shown in families().values() for one in shown.zygotes]
        sizes = []
        for pid in zygotes:
            try:
                sizes.append(processes.resident_kb(pid))
            except (OSError, AssertionError):
                pass  # on its way out
        return Footprint(
            len(processes.open_files(self.appd.pid)),
            processes.threads(self.appd.pid),
            sum(len(shown.zygotes) + len(shown.workers) for shown in families().values()) or len(family),
            processes.resident_kb(self.appd.pid),
            statistics.mean(sizes) if sizes else 0,
        )

    def in_turn(self) -> Iterator[str]:
        """Every deed once in each round, in an order of its own."""
        while True:
            deck = list(self.deeds)
            self.random.shuffle(deck)
            yield from deck

    def settle(self) -> None:
        """As it was at the beginning, so that the two can be compared."""
        for name in self.workers:
            self.workers[name] = WORKERS
            self.appd.ok("scale", name, "--workers", str(WORKERS))
        self.world.settled(**self.workers, ticker=2)

    def run(self, seconds: float, say: Callable[[str], None] = lambda _: None) -> Outcome:
        self.set_up()
        self.settle()
        begin, began = self.footprint(), time.monotonic()
        with Crowd(*self.sites, kinds=QUIET_KINDS) as crowd:
            for name in self.in_turn():
                left = began + seconds - time.monotonic()
                if left <= 0:
                    break
                say(f"{left:4.0f} s to go: {name}")
                self.do(name)
                self.samples.append(self.footprint())
                let_pass(self.random.uniform(0, 2 * SECONDS_BETWEEN))
            self.settle()
            crowd.progress()
        return self.judge(crowd, begin, self.footprint(), time.monotonic() - began)

    def do(self, name: str) -> None:
        tally = self.tallies.setdefault(name, Tally())
        tally.times += 1
        begun = time.monotonic()
        try:
            self.deeds[name]()
            tally.ok += 1
        except AssertionError as error:
            self.problems.append(f"{name}: {error}")
            if not self.appd.running:
                raise
        tally.longest_s = max(tally.longest_s, time.monotonic() - begun)

    def certificates(self, name: str) -> list[dict[str, Any]]:
        return self.appd.ok("workers", name, "--dead", "-o", "json").json.get("deaths", [])

    def judge(self, crowd: Crowd, begin: Footprint, end: Footprint, seconds: float) -> Outcome:
        accounts, certified = {}, 0
        for name, killed in self.killed.items():
            deaths = self.certificates(name)
            certified += len(deaths)
            if sorted(one["pid"] for one in deaths) != sorted(killed):
                self.problems.append(f"{name}: killed {sorted(killed)}, certificates {[(d['pid'], d['reason']) for d in deaths]}")
            accounts[name] = account([one for one in crowd.lost if one.site == name], deaths, PATHS)
            self.problems += [f"{name}: no certificate accounts for {one}" for one in accounts[name].unexplained]
        quarter = max(len(self.samples) // 4, 1)
        quarters = {
            what: tuple(
                statistics.median(getattr(one, what) for one in part)
                for part in (self.samples[:quarter], self.samples[-quarter:])
            )
            for what in ("appd_kb", "zygote_kb")
        }
        for what, (first, last) in quarters.items():
            if last > first * (1 + GROWTH) + GROWTH_KB:
                self.problems.append(f"{what.removesuffix('_kb')} has grown from {first:.0f} to {last:.0f} KiB")
        if end.processes != begin.processes:
            self.problems.append(f"{begin.processes} processes at the beginning, {end.processes} at the end")
        return Outcome(
            self.seed,
            seconds,
            self.tallies,
            crowd.answered,
            accounts,
            sum(map(len, self.killed.values())),
            certified,
            crowd.sent_away,
            begin,
            end,
            quarters,
            self.problems,
        )


# --- what is shown -----------------------------------------------------------------------------------


def table(rows: list[list[str]]) -> list[str]:
    """The first row is the head; the first column is text, the others are figures."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "   ".join(cells))
        if number == 0:
            lines.append("  " + "─" * len("   ".join(cells)))
    return lines


def mib(kib: float) -> str:
    return f"{kib / 1024:.1f}"


def render(outcome: Outcome) -> str:
    minutes, seconds = divmod(round(outcome.seconds), 60)
    lines = [f"soak of {minutes} min {seconds:02d} s, seed {outcome.seed}", ""]
    events = [["what happened", "times", "ok", "longest"]]
    for name, tally in sorted(outcome.tallies.items()):
        events.append([name, str(tally.times), str(tally.ok), f"{tally.longest_s:.1f} s"])
    lines += [*table(events), ""]
    requests = [["requests to", "answered", "failed", "in hand of the killed", "on its connections", "unexplained"]]
    totals = [0] * 5
    for name, one in outcome.accounts.items():
        answered = sum(count for (site, _), count in outcome.answered.items() if site == name)
        parts = [len(one.in_hand), len(one.on_its_connections), len(one.unexplained)]
        row = [answered, sum(parts), *parts]
        totals = [total + figure for total, figure in zip(totals, row)]
        requests.append([name, *(f"{figure:,}" for figure in row)])
    requests.append(["all", *(f"{figure:,}" for figure in totals)])
    lines += [*table(requests), ""]
    lines.append(f"  {outcome.killed} workers killed, {outcome.certificates} certificates of death")
    lines += [f"  {outcome.sent_away} WebSockets sent away by workers that left (1012), which came again", ""]
    begin, end = outcome.begin, outcome.end
    sizes = [["what it takes", "begin", "end"]]
    for what in ("descriptors", "threads"):
        sizes.append([f"{what} of appd", str(getattr(begin, what)), str(getattr(end, what))])
    sizes.append(["zygotes and workers", str(begin.processes), str(end.processes)])
    sizes.append(["", "first quarter", "last"])
    for what, name in (("appd_kb", "MiB of appd"), ("zygote_kb", "MiB of a zygote")):
        sizes.append([name, *map(mib, outcome.quarters[what])])
    lines += [*table(sizes), ""]
    lines += [f"  FAILED  {problem}" for problem in outcome.problems]
    lines.append("  PASS    no request lost without its worker, nothing grown, all as asked for" if not outcome.problems else "")
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long (10)")
    parser.add_argument("--seed", type=int, help="of an earlier run, to have its course again")
    options = parser.parse_args()
    if options.minutes <= 0:
        parser.error("--minutes must be above 0")
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    processes.become_subreaper()
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="appd-soak-") as folder:
        appd = Appd(Path(folder) / "state").start()
        try:
            outcome = Soak(appd, Path(folder), seed).run(options.minutes * 60, progress)
        finally:
            progress("")
            if appd.running and appd.stop() != 0:
                print("appd did not end well", file=sys.stderr)
            outcome_log = appd.log()
            appd.remove()
    print(render(outcome))
    if outcome.problems:
        print(outcome_log[-4000:], file=sys.stderr)
    return 1 if outcome.problems else 0


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
