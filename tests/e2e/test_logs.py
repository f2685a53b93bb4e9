"""Log files: who writes them, how they are rotated, and that not a line is lost on the way."""

import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness import http, logs, processes
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.events import Events, exit_of
from harness.waiting import wait_until

# Says what it is asked to, on stdout or past it.
SPEAKER = '''
import itertools, os, sys, time
from urllib.parse import parse_qs

counter = itertools.count(1)

def app(environ, start_response):
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    path = environ["PATH_INFO"]
    if path == "/say":
        print(query["text"])
        time.sleep(float(query.get("hold", 0)))
    elif path == "/number":
        print("number", query["n"], "x" * 1000)
    elif path == "/flood":
        line = "flood " + "x" * 993
        for _ in range(int(query["lines"])):
            print(line)
    elif path == "/babble":
        end = time.monotonic() + float(query["seconds"])
        while time.monotonic() < end:
            print("babble")
            time.sleep(0.001)
    elif path == "/raw":
        sys.stdout.buffer.write(b"\\xff\\xfe\\x00binary" + b"y" * int(query["size"]))
        sys.stdout.buffer.write(b"\\n" if query.get("end") else b"")
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
'''


@pytest.fixture
def speaker(tmp_path: Path) -> Path:
    return write_app(tmp_path / "web", source=SPEAKER)


class Numbers:
    """A client that has lines with consecutive numbers written until the end of the block."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written = 0

    def _run(self) -> None:
        while not self._stop.is_set():
            http.request(self._port, f"/number?n={self.written + 1}")
            self.written += 1

    def __enter__(self) -> "Numbers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def zygote_of(pid: int) -> int:
    found = processes.process(pid)
    assert found is not None
    return found.parent


def say(port: int, text: str) -> None:
    assert http.request(port, f"/say?text={text}").status == 200


def test_not_a_line_is_lost_through_20_rotations_under_load(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port, "--workers", "3", "--log-max-size", "64KiB", "--log-keep", "1000").expect(DONE)
    with logs.Follower(appd, "web", "-n", "0") as follower, Numbers(port) as client:
        wait_until(lambda: logs.rotations(appd, "web") >= 20, "20 rotations", 60)
        appd.ok("reload", "web")
        last = client.written + 1
        wait_until(lambda: client.written > last, "some more")
    expected = list(range(1, client.written + 1))
    assert logs.numbers(logs.lines(appd, "web")) == expected
    # Each file is as large as asked for; what was written while it changed hands comes on top.
    assert all(path.stat().st_size >= 64 * 1024 for path in logs.files(appd, "web")[:-1])
    # The follower began a moment after the first lines.
    seen = logs.numbers(follower.lines)
    assert seen and seen == list(range(seen[0], seen[-1] + 1)), "followed without gap or repetition"


def test_nothing_waits_for_an_appd_that_is_dead_and_nothing_is_lost(
    appd: Appd, port: int, speaker: Path
) -> None:
    appd.create("web", speaker, port, "--log-max-size", "64KiB", "--log-keep", "1000").expect(DONE)
    with logs.Follower(appd, "web") as follower, Numbers(port) as client:
        wait_until(lambda: logs.rotations(appd, "web") >= 2, "rotations", 30)
        appd.kill9()
        before = client.written
        rotated = logs.rotations(appd, "web")
        wait_until(lambda: client.written > before + 200, "lines without appd", 30)
        appd.start()
        wait_until(lambda: logs.rotations(appd, "web") > rotated + 2, "the next appd rotates again", 30)
        last = client.written
        wait_until(lambda: last in logs.numbers(follower.lines), "the follower has found it again", 30)
    assert logs.numbers(logs.lines(appd, "web")) == list(range(1, client.written + 1))
    seen = logs.numbers(follower.lines)
    assert seen == list(range(seen[0], seen[-1] + 1))
    assert "lost the connection to appd" in follower.errors and "connected again" in follower.errors


# A program that counts as fast as it is read, two ways of writing.
COUNTER = """\
import os, sys, time

n = 0
while True:
    n += 1
    os.write(1 + n % 2, b"number %d %s\\n" % (n, b"x" * 500))
    time.sleep(0.001)
"""


def count_by_command(appd: Appd, folder: Path, *more: str) -> None:
    folder.mkdir()
    (folder / "counter.py").write_text(COUNTER)
    command = ("--command", "python3 counter.py", "--startsecs", "200ms")
    appd.ctl("create", "count", "--directory", str(folder), *command, *more).expect(DONE)


def test_lines_of_commands_are_rotated_and_tell_who_wrote_them(appd: Appd, tmp_path: Path) -> None:
    """A program cannot be given another file while it runs."""
    count_by_command(appd, tmp_path / "count", "--workers", "2", "--log-max-size", "64KiB", "--log-keep", "1000")
    pids = appd.ready_pids("count")
    wait_until(lambda: logs.rotations(appd, "count") >= 5, "5 rotations", 30)
    appd.kill9()
    size = sum(path.stat().st_size for path in logs.files(appd, "count"))
    wait_until(
        lambda: sum(path.stat().st_size for path in logs.files(appd, "count")) > size + 100_000, "lines without appd"
    )
    appd.start()
    rotated = logs.rotations(appd, "count")
    wait_until(lambda: logs.rotations(appd, "count") > rotated + 2, "the next appd rotates again", 30)
    assert appd.wait_ready("count", 2) == pids
    appd.ok("stop", "count")
    for worker in ("1", "2"):
        shown = appd.ok("logs", "count", "--worker", worker, "-n", "all", "--no-prefix").stdout.splitlines()
        assert logs.numbers(shown) == list(range(1, len(shown) + 1))


def test_a_command_does_not_die_of_its_zygotes_death(appd: Appd, events: Events, tmp_path: Path) -> None:
    count_by_command(appd, tmp_path / "count")
    (pid,) = appd.ready_pids("count")
    os.kill(zygote_of(pid), signal.SIGKILL)
    wait_until(lambda: (now := appd.ready_pids("count")) and pid not in now, "the next one")
    assert "SIGPIPE" not in events.wait_for(exit_of(pid), "its exit")["worker"]["exit_reason"]
    assert "number " in appd.ok("logs", "count", "-n", "1").stdout


def test_a_worker_inside_the_app_gets_the_new_file_too(appd: Appd, port: int, speaker: Path) -> None:
    """It is sync and runs one request all the time: it never looks at its messages."""
    appd.create("web", speaker, port, "--worker-class", "sync").expect(DONE)
    log = logs.files(appd, "web")[-1]
    busy = threading.Thread(target=http.request, args=(port, "/babble?seconds=4"))
    busy.start()
    wait_until(lambda: "babble" in log.read_text(), "it speaks")
    log.rename(log.with_suffix(".old"))
    appd.ok("reopen-logs", "web")
    wait_until(lambda: log.exists() and "babble" in log.read_text(), "it speaks into the new file", 3)
    busy.join()


def test_a_deleted_log_is_made_anew(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port, "--access-log", "on").expect(DONE)
    folder = appd.state_dir / "logs"
    say(port, "before")
    (folder / "web.log").unlink()
    (folder / "web.access.log").unlink()
    wait_until(lambda: (folder / "web.log").exists(), "it is there again")
    wait_until(lambda: say(port, "after") or "after" in (folder / "web.log").read_text(), "and is written to")
    wait_until(lambda: say(port, "x") or "GET /say" in (folder / "web.access.log").read_text(), "the other too")


def test_a_deleted_log_directory_is_made_anew(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port).expect(DONE)
    folder = appd.state_dir / "logs"
    shutil.rmtree(folder)
    log = folder / "web.log"
    wait_until(log.exists, "it is there again")
    assert folder.stat().st_mode & 0o777 == 0o700
    wait_until(lambda: say(port, "after") or "after" in log.read_text(), "and is written to")


def test_logrotate_may_rename_or_copy_and_truncate(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port).expect(DONE)
    log = logs.files(appd, "web")[-1]
    say(port, "one")
    log.rename(log.with_suffix(".log-20261125"))
    appd.ok("reopen-logs")
    wait_until(lambda: say(port, "two") or (log.exists() and "two" in log.read_text()), "a new file")
    assert "one" not in log.read_text()
    os.truncate(log, 0)
    say(port, "three")
    assert log.read_bytes()[:1] != b"\0", "written at the beginning, not behind a hole"
    assert "three" in log.read_text()


def test_sigusr1_to_a_zygote_reopens_even_without_appd(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port, "--workers", "2", "--access-log", "on").expect(DONE)
    zygote = zygote_of(next(iter(appd.ready_pids("web"))))
    folder = appd.state_dir / "logs"
    appd.kill9()
    for name in ("web.log", "web.access.log"):
        (folder / name).rename(folder / f"{name}.renamed")
    os.kill(zygote, signal.SIGUSR1)
    for name, text in (("web.log", "after"), ("web.access.log", "GET /say")):
        wait_until(
            lambda: say(port, "after") or ((folder / name).exists() and text in (folder / name).read_text()),
            f"{name} is there again",
        )
    appd.start()


def test_sigusr1_to_appd_reopens_all(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port).expect(DONE)
    log = logs.files(appd, "web")[-1]
    log.rename(log.with_suffix(".old"))
    os.kill(appd.pid, signal.SIGUSR1)
    wait_until(lambda: say(port, "after") or (log.exists() and "after" in log.read_text()), "a new file")
    assert appd.running


def test_a_killed_worker_takes_no_line_along(appd: Appd, port: int, speaker: Path) -> None:
    """Lines of the access log lie in memory for a moment: in memory that the zygote has too."""
    appd.create("web", speaker, port, "--access-log", "on", "--access-log-format", "%(U)s %(q)s").expect(DONE)
    with http.connect(port) as client:
        # One batch: five that are answered, and one that kills the worker while it holds their lines.
        requests = [f"/say?text={n}" for n in range(5)] + ["/babble?seconds=20"]
        client.sendall("".join(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n" for path in requests).encode())
        wait_until(lambda: "babble" in logs.files(appd, "web")[-1].read_text(), "the last one runs")
        answered = b""
        while answered.count(b"200 OK") < 5:
            answered += client.recv(65536)
        os.kill(next(iter(appd.ready_pids("web"))), signal.SIGKILL)
    access = appd.state_dir / "logs/web.access.log"
    expected = [f"/say text={n}" for n in range(5)]
    wait_until(lambda: access.read_text().splitlines() == expected, "the zygote has written them down")


@pytest.fixture
def small_disk(idle_appd: Appd) -> Iterator[Path]:
    """A file system of 512 KiB for the logs."""
    folder = idle_appd.state_dir / "logs"
    folder.mkdir(parents=True, mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a tmpfs, and not in every container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_fails_no_request_and_its_loss_is_told(
    small_disk: Path, idle_appd: Appd, port: int, speaker: Path
) -> None:
    appd = idle_appd.start()
    appd.create("web", speaker, port, "--log-max-size", "0", "--access-log", "on").expect(DONE)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    wrote = 100
    for n in range(1, wrote + 1):
        assert http.request(port, f"/number?n={n}").status == 200
    lost = appd.observed("web")
    lost_lines = int(lost["log_lost_lines"])
    assert lost_lines > 0 and int(lost["log_lost_bytes"]) > 0
    assert "lost of its logs" in appd.ok("status").stdout
    ballast.unlink()
    log = small_disk / "web.log"
    wait_until(lambda: say(port, "room") or "event=log_lost" in log.read_text(), "the loss is told", 20)
    say(port, "more")
    assert log.read_text().count("event=log_lost") == 1
    told = next(line for line in log.read_text().splitlines() if "event=log_lost" in line)
    assert f"lines={appd.observed('web')['log_lost_lines']} " in told
    # What is not counted as lost is there; a line may have been cut in two.
    there = logs.numbers(logs.lines(appd, "web"))
    access = len((small_disk / "web.access.log").read_text().splitlines())
    assert wrote - len(there) <= lost_lines <= 2 * wrote, (len(there), access)
    # Nothing may be left on the file system that is about to go.
    appd.ok("delete", "web")


def test_a_flood_is_bounded_and_appd_answers_meanwhile(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port, "--log-max-size", "4MiB", "--log-keep", "2").expect(DONE)
    seen: set[int] = set()  # inodes of the log: one more with each rotation

    def rotated_often() -> bool:
        flood = threading.Thread(target=http.request, args=(port, "/flood?lines=30000"))
        flood.start()
        while flood.is_alive():
            appd.ok("list")  # within the timeout of the harness, and errors fail the test
            files = logs.files(appd, "web")
            assert len(files) <= 4, "one of them is about to go"
            with suppress(FileNotFoundError):  # it has been renamed, and the new one is not there yet
                seen.add(files[-1].stat().st_ino)
        flood.join()
        return len(seen) >= 4

    wait_until(rotated_often, "more rotations than are kept", 60)
    wait_until(lambda: len(logs.files(appd, "web")) == 3, "two are kept")


def test_odd_output_harms_no_reader(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port, "--log-max-size", "0").expect(DONE)
    http.request(port, f"/raw?size={100 << 20}&end=1")
    http.request(port, "/raw?size=10")
    say(port, "then-a-line")
    say(port, "last")
    entries = appd.ok("logs", "web", "-o", "json", "-n", "4").stdout.splitlines()
    assert len(entries) == 4 or len(entries) == 3
    shown = appd.ok("logs", "web", "--no-prefix", "-n", "1").stdout
    assert shown == "last\n"
    cut = [entry for entry in entries if '"truncated":true' in entry]
    assert len(cut) == 1 and len(cut[0]) < 200_000


def test_lines_are_found_by_worker_text_and_time(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port, "--workers", "2", "--access-log", "on").expect(DONE)
    by_pid = {worker["pid"]: worker["id"] for worker in appd.workers("web")}
    wrote: Counter[int] = Counter()
    while len(wrote) < 2:  # two at once, so that each worker has one
        for body in http.all_at_once(port, [f"/say?text=request-{n}&hold=0.3" for n in range(2)]):
            wrote[by_pid[int(body)]] += 1
    for worker in (1, 2):
        found = appd.ok("logs", "web", "--worker", str(worker), "--grep", "request-", "--no-prefix").stdout
        assert len(found.splitlines()) == wrote[worker]
    total = sum(wrote.values())
    assert appd.ok("logs", "web", "--regex", "^request-[0-9]+$", "--no-prefix").stdout.count("\n") == total
    assert appd.ok("logs", "web", "--since", "10m", "--grep", "request-").stdout.count("\n") == total
    assert appd.ok("logs", "web", "--since", "2040-01-01").stdout == ""
    access = appd.ok("logs", "web", "--access").stdout.splitlines()
    assert len(access) == total and "GET /say?text=request-" in access[0]
    both = appd.ok("logs", "web", "--all", "-n", "all", "-o", "json").stdout
    assert both.count('"source":"ACCESS"') == total
    refused = appd.ctl("logs", "web", "--access", "--worker", "1")
    assert refused.exit == 2 and "--worker" in refused.stderr


def test_following_an_app_that_is_not_there_is_said(appd: Appd) -> None:
    assert "there is no app nosuch" in appd.ctl("logs", "nosuch", "-f").expect(1).stderr


def test_without_log_prefix_lines_are_the_apps_own(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port, "--log-prefix", "off").expect(DONE)
    say(port, "plain")
    log = logs.files(appd, "web")[-1]
    assert log.read_text().splitlines()[-1] == "plain"
    pids = appd.ready_pids("web")
    appd.ok("set", "web", "--log-prefix", "on")
    say(port, "marked")
    assert logs.PREFIX.match(log.read_text().splitlines()[-1])
    assert appd.ready_pids("web") == pids, "in the running workers"


def test_a_terminal_is_not_driven_by_a_log(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port).expect(DONE)
    say(port, "%1b%5d0;owned%07%1b%5b2J%0dforged")
    controller, terminal = os.openpty()
    command = [str(appd_ctl()), "--address", appd.address, "logs", "web"]
    done = subprocess.run(command, stdout=terminal, stderr=terminal, env={**os.environ, "TERM": "xterm"}, timeout=30)
    assert done.returncode == 0
    shown = os.read(controller, 65536)
    os.close(terminal)
    os.close(controller)
    assert b"\x1b]0;" not in shown and b"\x1b[2J" not in shown and b"\x07" not in shown
    assert b"\\x1b]0;owned" in shown


def appd_ctl() -> Path:
    from harness.paths import APPCTL

    return APPCTL


def test_ctrl_c_ends_a_follower_at_once(appd: Appd, port: int, speaker: Path) -> None:
    appd.create("web", speaker, port).expect(DONE)
    say(port, "seen")
    follower = logs.Follower(appd, "web")
    follower.wait_for("seen")
    follower.process.send_signal(signal.SIGINT)
    assert follower.process.wait(5) in (-signal.SIGINT, 130)
    follower.close()
    assert follower.errors == ""


def test_threads_that_keep_and_read_logs_sleep_when_nothing_is_written(
    appd: Appd, port: int, speaker: Path
) -> None:
    appd.create("web", speaker, port).expect(DONE)
    say(port, "seen")

    def switches() -> dict[str, int]:
        of_threads = processes.context_switches([appd.pid])
        names = {tid: Path(f"/proc/{appd.pid}/task/{tid}/comm").read_text().strip() for tid in of_threads}
        return {names[tid]: count for tid, count in of_threads.items() if names[tid].startswith("appd-log")}

    with logs.Follower(appd, "web") as follower:
        follower.wait_for("seen")

        def quiet() -> bool:
            before = switches()
            signal.sigtimedwait([], 1.0)  # a second in which nothing is to happen
            return len(before) == 2 and switches() == before

        wait_until(quiet, "a second without a wake-up", 15)
        say(port, "next")
        follower.wait_for("next")
