"""Processes as /proc shows them. pytest itself is the child subreaper (prctl(2)): whatever a test
starts, and whatever that starts, stays among pytest's descendants even when its parents are gone."""

import ctypes
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


@dataclass(frozen=True)
class Process:
    """One process, told from a later one with the same pid by its start time."""

    pid: int
    parent: int
    state: str
    start_time: int
    name: str

    @property
    def zombie(self) -> bool:
        return self.state == "Z"

    def alive(self) -> bool:
        now = process(self.pid)
        return now is not None and now.start_time == self.start_time and not now.zombie

    def command_line(self) -> str:
        try:
            raw = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return self.name
        return raw.replace(b"\0", b" ").decode(errors="replace").strip() or self.name

    def __str__(self) -> str:
        return f"{self.pid} ({self.state}, parent {self.parent}): {self.command_line()}"


def process(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in brackets and may hold anything, brackets too.
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return Process(pid, int(fields[1]), fields[0], int(fields[19]), name)


def alive(pid: int) -> bool:
    found = process(pid)
    return found is not None and not found.zombie


def all_processes() -> list[Process]:
    found = (process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [one for one in found if one is not None]


def descendants(root: int) -> list[Process]:
    """Children of `root`, theirs, and so on; zombies too."""
    children: dict[int, list[Process]] = {}
    for one in all_processes():
        children.setdefault(one.parent, []).append(one)
    found: list[Process] = []
    pending = [root]
    while pending:
        for child in children.get(pending.pop(), []):
            found.append(child)
            pending.append(child.pid)
    return found


def reap_adopted(known: Iterable[int]) -> list[int]:
    """Buries dead orphans that became ours; children in `known` are left to whoever started them."""
    buried = []
    for one in descendants(os.getpid()):
        if one.zombie and one.parent == os.getpid() and one.pid not in set(known):
            os.waitpid(one.pid, 0)
            buried.append(one.pid)
    return buried


def kill_for_good(processes: Iterable[Process]) -> None:
    for one in processes:
        if one.alive():
            os.kill(one.pid, signal.SIGKILL)


def open_files(pid: int) -> dict[int, str]:
    """What each descriptor of a process refers to."""
    files = {}
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return files
    for entry in entries:
        try:
            files[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:
            pass
    return files


def context_switches(pids: Iterable[int]) -> dict[int, int]:
    """How often each thread has been switched, of its own will and not: every wake-up is one."""
    switches = {}
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                lines = (task / "status").read_text().splitlines()
            except (FileNotFoundError, ProcessLookupError):
                continue  # the thread has ended meanwhile
            counts = [line.split() for line in lines if "voluntary_ctxt_switches" in line]
            switches[int(task.name)] = sum(int(words[1]) for words in counts)
    return switches


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def resident_kb(pid: int) -> int:
    return _memory_kb(pid, "VmRSS:")


def peak_kb(pid: int) -> int:
    """The most that it has ever had."""
    return _memory_kb(pid, "VmHWM:")


def _memory_kb(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no memory")


def listening_inodes(ports: Iterable[int]) -> dict[int, int]:
    """Inode of each listening TCP socket, and its port."""
    wanted = set(ports)
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rsplit(":", 1)[1], 16)
            if fields[3] == "0A" and port in wanted:
                found[int(fields[9])] = port
    return found
