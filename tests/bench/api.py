"""The control plane: calls a second with the disk's word for each change, 200 watchers in a storm of changes, and appd at rest."""

import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from common import BUILD, CLIENT_CORE, TICKS, Report, free_port, memory, on_core, running_appd, tree, wait_until
from harness.appd import Appd
from harness.apps import write_app

APILOAD = BUILD / "bin" / "apiload"
APPS, WORKERS = 100, 10
CALL_SECONDS = 5
WATCHERS, SLOW, CHANGES, CALLERS = 200, 5, 3000, 4
REST_SECONDS = 30
NAMES = [f"app{number}" for number in range(APPS)]


def make_apps(appd: Appd, folder: Path) -> None:
    code = write_app(folder / "app")
    tables = (
        f'[apps.{name}]\ndirectory = "{code}"\napp = "wsgi:app"\nbind = ["127.0.0.1:{free_port()}"]\nworkers = {WORKERS}\n'
        for name in NAMES
    )
    (folder / "apps.toml").write_text("".join(tables))
    make_as_wanted(appd)


def make_as_wanted(appd: Appd) -> None:
    appd.ctl("apply", "-f", str(appd.state_dir.parent / "apps.toml"), timeout=300).expect(0)

    def settled() -> bool:
        workers = appd.ctl("status", "-o", "json").json["workers"]
        return len(workers) == APPS * WORKERS and all(one["state"] == "READY" for one in workers)

    wait_until(settled, f"{APPS * WORKERS} workers accept, none more", 300)


def apiload(appd: Appd, *arguments: object, apps: list[str]) -> dict:
    names = [word for name in apps for word in ("--app", f"apps/{name}")]
    command = [str(APILOAD), "--address", appd.address, *names, *map(str, arguments)]
    return json.loads(subprocess.run(on_core(CLIENT_CORE, command), capture_output=True, text=True, check=True).stdout)


def milliseconds(microseconds: int) -> str:
    return f"{microseconds / 1000:.2f}"


class Peak:
    """The most memory (RSS) of a process, in MiB, looked at ten times a second."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, rss(self._pid))


def rss(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def switches(pids: list[int]) -> int:
    """Context switches of all their threads: what has woken up, and what was interrupted."""
    count = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            count += sum(int(line.split()[1]) for line in status.read_text().splitlines() if "ctxt_switches" in line)
    return count


def ticks(pids: list[int]) -> int:
    texts = [Path(f"/proc/{pid}/stat").read_text() for pid in pids]
    return sum(int(number) for text in texts for number in text[text.rindex(")") + 2 :].split()[11:13])


def calls(appd: Appd) -> None:
    report = Report(
        "api-calls",
        f"appd with {APPS} apps of {WORKERS} workers on a unix socket, without a limit of changes; clients in C++ on a core of their own, each with a connection and one "
        f"call at a time, {CALL_SECONDS} s each; a ScaleApp is answered when it is on disk (synchronous=FULL), and its workers are forked and "
        "drained meanwhile",
        ["call", "clients", "calls/s", "p50 ms", "p99 ms", "failed"],
    )
    for kind, clients in (("get", 1), ("get", 16), ("scale", 1), ("scale", 16)):
        options = ("--low", WORKERS, "--high", WORKERS + 2) if kind == "scale" else ()
        result = apiload(appd, kind, "--clients", clients, "--seconds", CALL_SECONDS, *options, apps=NAMES)
        latency = result["latency"]
        failed = sum(result["failed"].values())
        name = {"get": "GetApp", "scale": "ScaleApp"}[kind]
        report.row(name, clients, f"{result['per_second']:,.0f}", milliseconds(latency["p50_us"]), milliseconds(latency["p99_us"]), failed)
        report.figures[f"{name} {clients}"] = result
        if kind == "scale":
            make_as_wanted(appd)
    report.finish()


def storm(appd: Appd) -> None:
    report = Report(
        "api-watch",
        f"{WATCHERS} clients follow everything with Watch, each on a connection of its own, and {SLOW} more that read nothing, while {CALLERS} callers scale "
        f"{APPS} apps in turn between {WORKERS} and {WORKERS + 2} workers, {CHANGES} changes; from the call to the change at each watcher",
        ["", "p50 ms", "p99 ms", "worst ms"],
    )
    before = rss(appd.pid)
    with Peak(appd.pid) as peak:
        options = ("--watchers", WATCHERS, "--slow", SLOW, "--changes", CHANGES, "--callers", CALLERS, "--low", WORKERS, "--high", WORKERS + 2)
        result = apiload(appd, "watch", *options, apps=NAMES)
    for name, key in (("answer to the caller", "answer"), ("change at a watcher", "to_watcher"), ("change at the last watcher", "to_last")):
        times = result[key]
        report.row(name, *(milliseconds(times[which]) for which in ("p50_us", "p99_us", "max_us")))
    print(
        f"\n  {result['changes']} changes in {result['seconds']:.1f} s, {result['messages']:,} messages; not seen: {result['missed']}; "
        f"watchers ended: {result['watchers_ended']}; slow ones: {result['slow_ended']}; appd {before:.1f} MiB before, {peak.most:.1f} at most"
    )
    report.figures.update(result, rss_before=before, rss_most=peak.most)
    report.target("changes that a watcher did not see", result["missed"], 0, at_least=False)
    report.target("slow watchers ended with REVISION_COMPACTED", result["slow_ended"].get("REVISION_COMPACTED", 0), SLOW, at_least=True)
    report.finish()


def rest(appd: Appd) -> None:
    report = Report(
        "api-rest",
        f"appd with {APPS} apps of {WORKERS} workers, no client, no request; {REST_SECONDS} s",
        ["processes", "RSS MiB", "PSS MiB", "CPU ms/s", "wake-ups/s"],
    )
    wait_until(lambda: len(list(Path(f"/proc/{appd.pid}/task").iterdir())) < 10, "gRPC has gone with its last client", 30)
    everybody = tree(appd.pid)
    for name, pids in (("appd", [appd.pid]), (f"{len(everybody) - 1} zygotes and workers", [pid for pid in everybody if pid != appd.pid])):
        woken, used, begin = switches(pids), ticks(pids), time.monotonic()
        time.sleep(REST_SECONDS)
        seconds = time.monotonic() - begin
        woken, used = switches(pids) - woken, ticks(pids) - used
        resident = sum(rss(pid) for pid in pids)
        shared_out = sum(memory(pid).pss for pid in pids) / 1024
        report.row(name, resident, shared_out, f"{used / TICKS * 1000 / seconds:.2f}", f"{woken / seconds:.2f}")
        report.figures[name] = {"rss": resident, "pss": shared_out, "cpu": used / TICKS / seconds, "wakeups": woken / seconds}
    report.finish()


def main() -> None:
    with running_appd(None, ("--change-rate", "0")) as appd:
        make_apps(appd, appd.state_dir.parent)
        calls(appd)
        storm(appd)
        make_as_wanted(appd)
        rest(appd)
