"""Workers whose zygote has died serve until others do, and are found again by whichever appd there is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import http, processes
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.load import Load
from harness.waiting import wait_until


def zygote_of(appd: Appd, name: str = "web") -> int:
    pid = next(iter(appd.ready_pids(name)))
    found = processes.process(pid)
    assert found is not None
    return found.parent


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes.alive(pid), "it has ended")


def wait_replaced(appd: Appd, before: set[int], workers: int) -> set[int]:
    def replaced() -> set[int]:
        pids = appd.ready_pids("web")
        fresh = len(pids) == workers and pids.isdisjoint(before) and not appd.observed("web").get("reconciling")
        return pids if fresh else set()

    pids = wait_until(replaced, "others serve in their place", 30)
    wait_until(lambda: not any(processes.alive(pid) for pid in before), "no orphan is left", 30)
    return pids


def test_a_zygote_that_dies_is_replaced_without_touching_its_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    before = appd.ready_pids("web")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        kill(zygote_of(appd))
        wait_replaced(appd, before, 3)
    load.assert_nothing_lost()


def test_orphans_are_found_by_the_next_appd(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    before = appd.ready_pids("web")
    zygote = zygote_of(appd)
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        appd.kill9()
        kill(zygote)
        appd.start()
        wait_replaced(appd, before, 3)
    load.assert_nothing_lost()
    assert not appd.ok("workers", "web", "--dead", "-o", "json").json.get("deaths"), "they went as they were told"


def test_a_zygote_that_does_not_answer_is_replaced_like_one_that_died(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    before = appd.ready_pids("web")
    zygote = zygote_of(appd)
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        appd.kill9()
        os.kill(zygote, signal.SIGSTOP)
        appd.start()
        wait_replaced(appd, before, 2)
    load.assert_nothing_lost()
    assert not processes.alive(zygote)


def test_a_worker_that_was_forked_and_not_told_of_is_found(appd: Appd, port: int, tmp_path: Path) -> None:
    """The zygote dies between its fork and its word of it."""
    appd.kill9()
    appd.start(failpoints="zygote.forked=kill:3")
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    before = appd.ready_pids("web")
    appd.kill9()
    appd.start()  # without failpoints: the next zygote has none
    appd.wait_ready("web", 2)
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        appd.ok("scale", "web", "--workers", "3")
        wait_replaced(appd, before, 3)
    load.assert_nothing_lost()
    assert len([one for one in processes.all_processes() if one.name.startswith("appd:web:") and is_of(appd, one)]) == 3


def is_of(appd: Appd, one: processes.Process) -> bool:
    return any(str(appd.state_dir) in file for file in processes.open_files(one.pid).values())


def test_an_orphan_that_dies_is_certified_as_far_as_one_can_know(appd: Appd, port: int, tmp_path: Path) -> None:
    # A replacement that cannot come up: the orphans have to stay.
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    first, second = sorted(appd.ready_pids("web"))
    write_app(folder, extra="raise RuntimeError('not now')")
    kill(zygote_of(appd))
    kill(first)
    wait_until(lambda: appd.ready_pids("web") == {second}, "appd knows that it has gone")
    (death,) = appd.ok("workers", "web", "--dead", "-o", "json").json["deaths"]
    assert death["pid"] == first
    assert death["cause"] == "UNKNOWN"
    assert "nobody was told its exit status" in death["reason"]
    assert http.request(port, "/pid").text == str(second)
    write_app(folder)
    appd.ok("reload", "web")
    wait_replaced(appd, {first, second}, 2)


def test_what_an_orphan_has_started_goes_with_it(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(
        tmp_path / "web",
        extra="import subprocess\nfrom pathlib import Path\n"
        "if not Path('child').exists(): Path('child').write_text(str(subprocess.Popen(['sleep', '600']).pid))",
    )
    appd.create("web", folder, port, "--workers", "1", "--preload", "off").expect(DONE)
    child = int((folder / "child").read_text())
    before = appd.ready_pids("web")
    zygote = zygote_of(appd)
    appd.kill9()
    kill(zygote)
    appd.start()
    wait_replaced(appd, before, 1)
    wait_until(lambda: not processes.alive(child), "what it has started has gone too")


def test_orphaned_commands_are_found_too(appd: Appd, tmp_path: Path) -> None:
    folder = tmp_path / "mailer"
    folder.mkdir()
    appd.ok("create", "web", "--directory", str(folder), "--command", "sleep 600", "--workers", "2", "--startsecs", "10ms")
    before = appd.ready_pids("web")
    zygote = zygote_of(appd)
    appd.kill9()
    kill(zygote)
    assert all(processes.alive(pid) for pid in before)
    appd.start()
    wait_replaced(appd, before, 2)


HEEDS_HUP_ONLY = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, lambda *_: (open("went", "a").write(f"{os.getpid()}\\n"), os._exit(0)))
open("up", "a").write(f"{os.getpid()}\\n")
while True:
    time.sleep(600)
"""


@pytest.mark.parametrize("appd_dies", [False, True], ids=["same_appd", "next_appd"])
def test_orphaned_commands_are_told_to_go_by_their_stop_signal(appd: Appd, tmp_path: Path, appd_dies: bool) -> None:
    """One that is not ends by SIGKILL only, without having said so."""
    folder = tmp_path / "mailer"
    folder.mkdir()
    (folder / "mailer.py").write_text(HEEDS_HUP_ONLY)
    command = f"{sys.executable} mailer.py"
    options = ("--workers", "2", "--startsecs", "10ms", "--stop-signal", "HUP")
    appd.ok("create", "web", "--directory", str(folder), "--command", command, *options)
    before = appd.ready_pids("web")
    # Before it listens to signals, any would end it.
    wait_until(lambda: before <= pids_in(folder / "up"), "both heed their signals")
    zygote = zygote_of(appd)
    if appd_dies:
        appd.kill9()
    kill(zygote)
    if appd_dies:
        appd.start()
    wait_replaced(appd, before, 2)
    assert before <= pids_in(folder / "went")


def pids_in(file: Path) -> set[int]:
    return {int(line) for line in file.read_text().splitlines()} if file.exists() else set()


def test_a_stranger_with_the_number_of_a_zygote_is_left_alone(appd: Appd, port: int, tmp_path: Path) -> None:
    """A session of the recorded number is ours only if a process of it proves that."""
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "1").expect(DONE)
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    other = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; kill -9 $$"], start_new_session=True, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    orphan = int(other.stdout.readline())
    other.wait()
    try:
        (owner,) = appd.runtime_dir.glob("zygotes/*.pid")
        boot = owner.read_text().split()[2]
        appd.kill9()
        for number in (stranger.pid, other.pid):
            (appd.runtime_dir / "zygotes" / f"{number}.sock.pid").write_text(f"{number} 1 {boot} web 1\n")
        appd.start()
        appd.wait_ready("web", 1)
        assert stranger.poll() is None
        assert processes.alive(orphan)
        assert len(list(appd.runtime_dir.glob("zygotes/*.pid"))) == 1, "what is over is forgotten"
    finally:
        stranger.kill()
        stranger.wait()
        os.kill(orphan, signal.SIGKILL)
