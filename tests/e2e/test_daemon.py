"""The daemon itself: one per state directory, closed to others, quiet and small."""

import os
import socket
import stat
import subprocess
import time
from pathlib import Path

from harness import processes
from harness.appd import DONE, ROLLED_BACK, UNREACHABLE, Appd
from harness.apps import copy_example, write_app
from harness.paths import APPD
from harness.ports import free_port
from harness.waiting import wait_until

# Over five seconds with nothing to do, all threads of appd, all zygotes and all workers together.
IDLE_SECONDS = 5.0
IDLE_SWITCHES = 0
# What a call has set up (gRPC with its threads) is wound down some seconds after the last client has gone.
SETTLED_SECONDS = 3.0
THREADS_OF_GRPC = 2
RESIDENT_KB = 40 * 1024


def test_second_appd_on_the_same_state_dir_says_who_holds_it_and_ends(appd: Appd, tmp_path: Path) -> None:
    other = tmp_path / "other-runtime"
    second = subprocess.run(
        [str(APPD), "--state-dir", str(appd.state_dir), "--runtime-dir", str(other), "--listen", f"unix:{appd.runtime_dir}/t"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert second.returncode == 1
    assert f"pid {appd.pid}" in second.stderr
    assert str(appd.state_dir) in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1, second.stderr
    appd.ok("list")


def test_appd_starts_again_after_kill_9_although_socket_and_lock_file_are_left(appd: Appd) -> None:
    appd.kill9()
    assert appd.socket_path.exists()
    appd.start()
    appd.ok("list")


def test_only_the_owner_may_connect(idle_appd: Appd) -> None:
    previous = os.umask(0)  # the widest: what appd makes must not depend on it
    try:
        idle_appd.start()
    finally:
        os.umask(previous)
    mode = idle_appd.socket_path.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    assert stat.S_IMODE(idle_appd.state_dir.stat().st_mode) == 0o700
    for file in idle_appd.state_dir.glob("appd.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_file_that_is_no_socket_is_not_replaced(idle_appd: Appd) -> None:
    idle_appd.socket_path.write_text("precious")
    ended = subprocess.run(idle_appd.command(), capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert str(idle_appd.socket_path) in ended.stderr
    assert idle_appd.socket_path.read_text() == "precious"


def test_live_socket_of_someone_else_is_not_replaced(idle_appd: Appd) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(idle_appd.socket_path))
        other.listen()
        ended = subprocess.run(idle_appd.command(), capture_output=True, text=True, timeout=20)
        assert ended.returncode == 1
        assert str(idle_appd.socket_path) in ended.stderr
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(idle_appd.socket_path))


def test_wrong_options_are_a_usage_error(idle_appd: Appd) -> None:
    for arguments in (["--no-such-option"], ["--log-level", "loud"], ["--listen"]):
        ended = subprocess.run([str(APPD), *arguments], capture_output=True, text=True, timeout=20)
        assert ended.returncode == 2, arguments
        assert ended.stderr


def test_damaged_state_file_is_refused_and_left_alone(idle_appd: Appd) -> None:
    idle_appd.state_dir.mkdir(mode=0o700)
    database = idle_appd.state_dir / "appd.db"
    database.write_bytes(b"this is no database, it only looks like a file " * 100)
    before = database.read_bytes()
    ended = subprocess.run(idle_appd.command(), capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert str(database) in ended.stderr
    assert database.read_bytes() == before


def test_appctl_says_how_to_start_an_appd_that_is_not_there(idle_appd: Appd) -> None:
    outcome = idle_appd.ctl("list").expect(UNREACHABLE)
    assert str(idle_appd.socket_path) in outcome.stderr


def three_apps_with_twenty_workers(appd: Appd, tmp_path: Path) -> None:
    appd.create("hello", write_app(tmp_path / "hello"), free_port(), "--workers", "10").expect(DONE)
    flask = copy_example("flask_hello", tmp_path / "flask")
    appd.create("flask", flask, free_port(), "--workers", "6", "--threads", "4").expect(DONE)
    django = copy_example("django_site", tmp_path / "django")
    appd.create("django", django, free_port(), "--workers", "4", app="wsgi:application").expect(DONE)


def settle(pids: list[int]) -> dict[int, int]:
    """Waits until what was asked for before has been wound down, gRPC's threads included."""
    last, since = processes.context_switches(pids), time.monotonic()

    def quiet() -> bool:
        nonlocal last, since
        now = processes.context_switches(pids)
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > SETTLED_SECONDS

    wait_until(quiet, f"no thread runs for {SETTLED_SECONDS} s", 30)
    return last


def test_idle_appd_with_three_apps_and_twenty_workers_does_not_wake_up(appd: Appd, tmp_path: Path) -> None:
    three_apps_with_twenty_workers(appd, tmp_path)
    pids = [appd.pid, *(one.pid for one in processes.descendants(appd.pid))]
    assert len(pids) == 1 + 3 + 20
    before = settle(pids)
    time.sleep(IDLE_SECONDS)  # the measurement itself: nothing is waited for
    after = processes.context_switches(pids)
    woken = {thread: count - before.get(thread, 0) for thread, count in after.items() if count != before.get(thread)}
    assert sum(woken.values()) <= IDLE_SWITCHES, woken


def test_after_much_change_appd_is_as_small_as_before(appd: Appd, port: int, tmp_path: Path) -> None:
    """No more descriptors and children than at a fresh start; threads but for a few that gRPC keeps."""

    def size() -> tuple[int, int]:
        settle([appd.pid])
        return len(processes.open_files(appd.pid)), len(processes.descendants(appd.pid))

    before, threads = size(), processes.threads(appd.pid)
    folder = write_app(tmp_path / "web")
    for _ in range(5):
        appd.create("web", folder, port, "--workers", "4").expect(DONE)
        appd.ok("scale", "web", "--workers", "9", "--threads", "2")
        appd.ok("reload", "web")
        write_app(folder, extra="not Python")
        appd.ctl("reload", "web").expect(ROLLED_BACK)
        write_app(folder)
        appd.ok("stop", "web")
        appd.ok("start", "web")
        appd.ok("delete", "web")
    assert size() <= before
    assert processes.threads(appd.pid) <= threads + THREADS_OF_GRPC


def test_appd_with_three_apps_and_twenty_workers_stays_under_40_mb(appd: Appd, tmp_path: Path) -> None:
    three_apps_with_twenty_workers(appd, tmp_path)
    for name in ("hello", "flask", "django"):
        appd.ok("reload", name)
    assert processes.resident_kb(appd.pid) < RESIDENT_KB


def test_appd_holds_no_python_and_workers_no_grpc(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    own = Path(f"/proc/{appd.pid}/maps").read_text()
    assert "libpython" not in own
    (worker,) = appd.ready_pids("web")
    loaded = Path(f"/proc/{worker}/maps").read_text()
    assert not any(name in loaded for name in ("libgrpc", "libprotobuf", "libsqlite3", "libspdlog"))
