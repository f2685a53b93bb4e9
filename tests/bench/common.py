"""What all benchmarks share: pinned processes, their CPU time and memory, and tables."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import http, processes  # noqa: E402
from harness.appd import Appd  # noqa: E402
from harness.paths import APPD, BUILD, PYTHON  # noqa: E402
from harness.ports import free_port  # noqa: E402
from harness.waiting import wait_until  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_CORE = PROCESSORS[0]
CLIENT_CORE = PROCESSORS[-1]


def host() -> str:
    """One line on what this was measured with."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{model}, {len(PROCESSORS)} processors, Linux {platform.release()}, CPython {platform.python_version()}"


def on_core(core: int, command: Sequence[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command]


# --- process trees ---------------------------------------------------------------------------


def tree(root: int) -> list[int]:
    return [root, *(one.pid for one in processes.descendants(root))]


def cpu_seconds(root: int) -> float:
    """User and system time of a process, its descendants, and those that they have buried."""
    ticks = 0
    for pid in tree(root):
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            continue
        ticks += sum(int(number) for number in text[text.rindex(")") + 2 :].split()[11:15])
    return ticks / TICKS


@dataclass(frozen=True)
class Memory:
    """In KiB. `pss` shares what several processes map among them, so it adds up over a tree."""

    pss: int
    private: int


def memory(pid: int) -> Memory:
    values = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, amount = line.split(":")
        values[name] = int(amount.split()[0])
    return Memory(values["Pss"], values["Private_Clean"] + values["Private_Dirty"])


# --- servers ---------------------------------------------------------------------------------


@dataclass
class Server:
    """A server that runs: its name, where it listens, and the root of its process tree."""

    name: str
    port: int
    root: int


@contextmanager
def running(name: str, command: Sequence[str], port: int, cwd: Path, core: int | None = SERVER_CORE) -> Iterator[Server]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            on_core(core, command) if core is not None else list(command),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:

            def answers() -> bool:
                if process.poll() is not None:
                    log.seek(0)
                    raise AssertionError(f"{name} ended: {log.read().decode(errors='replace')[-2000:]}")
                try:
                    return http.request(port, timeout=5).status == 200
                except OSError:
                    return False

            wait_until(answers, f"{name} answers", 60)
            yield Server(name, port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                processes.kill_for_good([one for pid in tree(process.pid) if (one := processes.process(pid))])
                process.wait()


@contextmanager
def running_appd(core: int | None = SERVER_CORE, options: Sequence[str] = ()) -> Iterator[Appd]:
    """An appd without apps, it and all its children pinned."""
    with tempfile.TemporaryDirectory(prefix="appd-bench-") as folder:
        appd = Appd(Path(folder) / "state")
        try:
            affinity = os.sched_getaffinity(0)
            if core is not None:
                os.sched_setaffinity(0, {core})  # inherited by what is started now
            try:
                appd.start(*options)
            finally:
                os.sched_setaffinity(0, affinity)
            yield appd
        finally:
            if appd.running:
                appd.stop()
            appd.remove()


def gunicorn(app: str, port: int, *options: str) -> list[str]:
    # Debian's own, whatever else is installed; as quiet as the others.
    return ["/usr/bin/gunicorn", "--bind", f"127.0.0.1:{port}", "--log-level", "error", *options, app]


def uwsgi(app: str, port: int, *options: str) -> list[str]:
    module, name = app.split(":")
    return [
        *("/usr/bin/uwsgi", "--plugin", "python3", "--module", module, "--callable", name, "--master", "--need-app"),
        *("--http11-socket", f"127.0.0.1:{port}", "--disable-logging", "--die-on-term", "--listen", "100"),
        *("--add-header", "Connection: Keep-Alive", *options),
    ]


# --- load ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """What one run of wrk against one server gave."""

    per_second: float
    p99_ms: float
    cpu_us: float  # of the server's whole tree, a request
    errors: int


UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


def milliseconds(text: str) -> float:
    number = text.rstrip("usm")
    return float(number) * UNITS[text[len(number) :]]


def wrk(server: Server, seconds: int, connections: int, target: str = "/", script: Path | None = None) -> Round:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://127.0.0.1:{server.port}{target}"]
    if script:
        command += ["-s", str(script)]
    before = cpu_seconds(server.root)
    output = subprocess.run(on_core(CLIENT_CORE, command), capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(server.root) - before
    values = {words[0]: words[1] for line in output.splitlines() if len(words := line.split()) >= 2}
    requests = next(int(line.split()[0]) for line in output.splitlines() if " requests in " in line)
    errors = 0
    for line in output.splitlines():
        if "Socket errors" in line:
            errors += sum(int(word.strip(",")) for word in line.split() if word.strip(",").isdigit())
        if "Non-2xx" in line:
            errors += int(line.split()[-1])
    return Round(float(values["Requests/sec:"]), milliseconds(values["99%"]), used / max(requests, 1) * 1e6, errors)


def interleaved(
    servers: Sequence[Server], rounds: int, seconds: int, connections: int, target: str = "/", script: Path | None = None
) -> dict[str, Round]:
    """Medians of rounds in which the servers take turns, so that a slow minute hits all of them."""
    runs: dict[str, list[Round]] = {server.name: [] for server in servers}
    for server in servers:
        wrk(server, 1, connections, target, script)
    for _ in range(rounds):
        for server in servers:
            runs[server.name].append(wrk(server, seconds, connections, target, script))
    return {
        name: Round(
            statistics.median(one.per_second for one in results),
            statistics.median(one.p99_ms for one in results),
            statistics.median(one.cpu_us for one in results),
            sum(one.errors for one in results),
        )
        for name, results in runs.items()
    }


def median_time(action: Callable[[], float], rounds: int) -> float:
    return statistics.median(action() for _ in range(rounds))


# --- results ---------------------------------------------------------------------------------


@dataclass
class Report:
    """One benchmark's method, table and targets; printed, and kept as JSON under build/bench/."""

    name: str
    method: str
    columns: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    targets: list[dict[str, object]] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    def row(self, *cells: object) -> None:
        self.rows.append([f"{cell:,.1f}" if isinstance(cell, float) else str(cell) for cell in cells])

    def target(self, what: str, value: float, limit: float, at_least: bool) -> None:
        met = value >= limit if at_least else value <= limit
        self.targets.append({"what": what, "value": value, "limit": limit, "at_least": at_least, "met": met})

    def finish(self) -> None:
        widths = [max(len(row[i]) for row in [list(self.columns), *self.rows]) for i in range(len(self.columns))]
        print(f"\n{self.name}\n  {self.method}\n  {host()}\n")
        for row in [list(self.columns), *self.rows]:
            cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
            print("  " + "  ".join(cells))
        print()
        for target in self.targets:
            sign = "≥" if target["at_least"] else "≤"
            verdict = "PASS " if target["met"] else "short"
            print(f"  {verdict}  {target['what']}: {target['value']:.4g} (target {sign} {target['limit']:g})")
        folder = BUILD / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "name": self.name,
            "method": self.method,
            "host": host(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "columns": list(self.columns),
            "rows": self.rows,
            "targets": self.targets,
            "figures": self.figures,
        }
        (folder / f"{self.name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
