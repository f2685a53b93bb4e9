"""Logs of an app as they lie on disk, and a follower of them."""

import re
import subprocess
import threading
from pathlib import Path

from harness.appd import Appd
from harness.paths import APPCTL
from harness.waiting import wait_until

PREFIX = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (\d+)/(\d+|-) ")


def files(appd: Appd, name: str) -> list[Path]:
    """The log and what it was rotated to, oldest first."""
    folder = appd.state_dir / "logs"
    rotated = sorted(folder.glob(f"{name}.log.*"), key=lambda path: -int(path.suffix[1:]))
    return [*rotated, folder / f"{name}.log"]


def lines(appd: Appd, name: str) -> list[str]:
    """All lines of all of them, without their prefixes."""
    while True:
        before = [(path, path.stat().st_ino) for path in files(appd, name)]
        text = "".join(path.read_text(errors="replace") for path, _ in before)
        if before == [(path, path.stat().st_ino) for path in files(appd, name)]:
            break  # nothing was rotated meanwhile
    return [PREFIX.sub("", line) for line in text.splitlines()]


def numbers(texts: list[str]) -> list[int]:
    """N of each line "number N"."""
    return sorted(int(text.split()[1]) for text in texts if text.startswith("number "))


def rotations(appd: Appd, name: str) -> int:
    return len(files(appd, name)) - 1


class Follower:
    """`appctl logs NAME -f` in the background."""

    def __init__(self, appd: Appd, name: str, *arguments: str) -> None:
        command = [str(APPCTL), "--address", appd.address, "logs", name, "-f", "--no-prefix", *arguments]
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        self.errors = ""
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def wait_for(self, line: str, timeout: float = 20.0) -> None:
        wait_until(lambda: line in self.lines, f"{line!r} is followed; so far {self.lines[-3:]} {self.errors}", timeout)

    def close(self) -> int:
        self.process.terminate()
        for thread in self._threads:
            thread.join()
        return self.process.wait()

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
