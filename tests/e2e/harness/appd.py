"""Appd: one real daemon in folders of its own, and appctl to talk to it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import processes
from harness.paths import APPCTL, APPD, PYTHON
from harness.waiting import wait_until

START_TIMEOUT = 20.0
STOP_TIMEOUT = 45.0
CTL_TIMEOUT = 90.0

# appctl's exit codes.
DONE, FAILED, USAGE, ROLLED_BACK, UNREACHABLE, CONFLICT = range(6)

LOG_ERROR = re.compile(
    r"^\S+ (error|critical) |\blevel=(error|critical)\b|AddressSanitizer|LeakSanitizer|"
    r"runtime error:|Fatal Python error|Segmentation fault"
)


@dataclass(frozen=True)
class Outcome:
    """What one run of appctl gave."""

    arguments: tuple[str, ...]
    exit: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def expect(self, code: int) -> "Outcome":
        assert self.exit == code, f"appctl {' '.join(self.arguments)}: exit {self.exit}, not {code}\n{self.output}"
        return self


class Appd:
    """Not started until start(). One per test; conftest.py stops it and checks what it leaves."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        # Short: a unix socket's path has at most 107 bytes, and pytest's folders are long.
        self.runtime_dir = Path(tempfile.mkdtemp(prefix="appd-e2e-"))
        self.socket_path = self.runtime_dir / "s"
        self.address = f"unix:{self.socket_path}"
        self.log_path = state_dir.parent / "appd.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.baseline_descriptors = 0
        self.was_killed = False
        self._expected_errors: list[re.Pattern[str]] = []

    # --- life -----------------------------------------------------------------------------------

    def start(self, *more: str, failpoints: str = "") -> "Appd":
        assert self.process is None
        environment = {**os.environ, "APPD_FAILPOINTS": failpoints} if failpoints else None
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(*more), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        wait_until(self._accepts, "appd accepts on its socket", START_TIMEOUT)
        # gRPC makes some of its descriptors at the first call. Of an appd that was killed while it
        # spawned, the child holds the old socket for a moment: that one was perhaps connected to.
        wait_until(lambda: self.ctl("version").exit == DONE, "appd answers", START_TIMEOUT)
        if self.baseline_descriptors == 0:
            self.baseline_descriptors = len(processes.open_files(self.pid))
        return self

    def command(self, *more: str) -> list[str]:
        return [
            str(APPD),
            *("--state-dir", str(self.state_dir)),
            *("--runtime-dir", str(self.runtime_dir)),
            *("--listen", self.address),
            *more,
        ]

    def run_to_its_end(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Of a start that is not to last."""
        return subprocess.run(self.command(*more), capture_output=True, text=True, timeout=START_TIMEOUT)

    def _accepts(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"appd ended: {self.process.returncode}\n{self.log()}"
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket_path))
            except OSError:
                return False
        return True

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        self.process.terminate()
        status = self.process.wait(STOP_TIMEOUT)
        self.process = None
        return status

    def wait_end(self) -> int:
        """Until it has ended by itself; how, as Popen.returncode."""
        assert self.process is not None
        status = self.process.wait(STOP_TIMEOUT)
        self.process = None
        return status

    def kill9(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_TIMEOUT)
        self.process = None
        self.was_killed = True

    def reboot(self) -> None:
        """Kills every process of this appd at once, as a power cut does."""
        stopped: dict[int, processes.Process] = {}
        while fresh := [one for one in self._family() if one.pid not in stopped]:
            for one in fresh:  # stopped first, so that none of them sees another one go
                os.kill(one.pid, signal.SIGSTOP)
                stopped[one.pid] = one
        self.kill9()
        processes.kill_for_good(stopped.values())
        wait_until(lambda: not any(one.alive() for one in stopped.values()), "every process is gone")

    def _family(self) -> list[processes.Process]:
        own = processes.process(self.pid)
        return ([own] if own else []) + processes.descendants(self.pid)

    def remove(self) -> None:
        shutil.rmtree(self.runtime_dir, ignore_errors=True)

    # --- appctl ---------------------------------------------------------------------------------

    def ctl(self, *arguments: str, timeout: float = CTL_TIMEOUT, stdin: str | None = None) -> Outcome:
        done = subprocess.run(
            [str(APPCTL), "--address", self.address, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        return Outcome(arguments, done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> Outcome:
        return self.ctl(*arguments).expect(DONE)

    def create(self, name: str, folder: Path, port: int, *more: str, app: str = "wsgi:app") -> Outcome:
        bind = f"127.0.0.1:{port}"
        return self.ctl("create", name, "--directory", str(folder), "--app", app, "--bind", bind, *more)

    def get(self, name: str) -> Any:
        return self.ok("get", name, "-o", "json").json

    def observed(self, name: str) -> Any:
        return self.get(name)["observed"]

    def apps(self) -> Any:
        """All apps as appd shows them, without what changes by itself."""
        apps = self.ok("list", "-o", "json").json.get("apps", [])
        for app in apps:
            app.pop("operation", None)
        return apps

    def workers(self, name: str) -> list[dict[str, Any]]:
        return self.ok("workers", name, "-o", "json").json.get("workers", [])

    def ready_pids(self, name: str) -> set[int]:
        return {worker["pid"] for worker in self.workers(name) if worker["state"] == "READY"}

    def wait_ready(self, name: str, workers: int, timeout: float = 30.0) -> set[int]:
        """Waits until so many workers of the app accept; their pids."""

        def enough() -> set[int]:
            pids = self.ready_pids(name)
            return pids if len(pids) == workers else set()

        return wait_until(enough, f"{workers} workers of {name} accept", timeout)

    # --- what it writes -------------------------------------------------------------------------

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def app_logs(self) -> dict[str, str]:
        return {
            str(file.relative_to(self.state_dir)): file.read_text(errors="replace")
            for file in sorted(self.state_dir.rglob("*.log*"))
            if file.is_file()
        }

    def expect_error(self, pattern: str) -> None:
        """Lines at error level that match are what this test is about."""
        self._expected_errors.append(re.compile(pattern))

    def unexpected_errors(self) -> list[str]:
        texts = {"appd.log": self.log(), **self.app_logs()}
        return [
            f"{name}: {line}"
            for name, text in texts.items()
            for line in text.splitlines()
            if LOG_ERROR.search(line) and not any(one.search(line) for one in self._expected_errors)
        ]


def python_version() -> str:
    version = "import platform; print(platform.python_version())"
    return subprocess.run([PYTHON, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
