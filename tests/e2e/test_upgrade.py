"""appd ends, or becomes another, and the apps do not notice."""

import os
import shutil
import signal
import sqlite3
import uuid
from pathlib import Path

import pytest

from harness import http, processes
from harness.appd import DONE, FAILED, USAGE, Appd
from harness.apps import write_app
from harness.load import Load
from harness.paths import APPD
from harness.waiting import wait_until


def server(appd: Appd) -> dict[str, object]:
    return appd.ok("version", "-o", "json").json["server"]


def install(folder: Path) -> Path:
    """Another installation of the same appd."""
    (folder / "bin").mkdir(parents=True)
    shutil.copy(APPD, folder / "bin" / "appd")
    (folder / "lib").symlink_to(APPD.parent.parent / "lib")
    return folder / "bin" / "appd"


def test_an_upgrade_keeps_pid_workers_and_clients(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    before, pid, started = appd.ready_pids("web"), appd.pid, server(appd)["start_time"]
    binary = install(tmp_path / "next")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        done = appd.ok("upgrade", "--binary", str(binary), "--reason", "release 2")
    load.assert_nothing_lost()
    assert f"(pid {pid}): 1 zygote and 3 workers serve on" in done.stdout
    assert done.stderr == ""
    assert os.readlink(f"/proc/{pid}/exe") == str(binary)
    assert server(appd)["pid"] == pid and server(appd)["start_time"] != started
    assert appd.ready_pids("web") == before
    with sqlite3.connect(f"file:{appd.state_dir}/appd.db?mode=ro", uri=True) as database:
        audit = [text for (text,) in database.execute("SELECT text FROM audit")]
    assert any(str(binary) in text and "(release 2)" in text for text in audit), audit
    # The lock has gone over to it as well.
    second = appd.command()
    assert os.spawnv(os.P_WAIT, second[0], second) == 1


def test_upgrades_by_signal_and_in_a_row(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    before = appd.ready_pids("web")
    descriptors = len(processes.open_files(appd.pid))
    for _ in range(3):
        started = server(appd)["start_time"]
        os.kill(appd.pid, signal.SIGUSR2)
        wait_until(lambda: server(appd)["start_time"] != started, "another appd answers", 30)
    for _ in range(3):
        appd.ok("upgrade")
    assert appd.ready_pids("web") == before
    wait_until(lambda: len(processes.open_files(appd.pid)) <= descriptors + 4, "nothing is left open")


def test_an_upgrade_in_the_middle_of_a_rollout(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2", "--canary", "1", "--bake", "1h").expect(DONE)
    write_app(folder, version="2")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        operation = appd.ok("reload", "web", "--no-wait").stdout.strip()
        wait_until(lambda: len(appd.ready_pids("web")) == 3, "the canary serves", 30)
        appd.ok("upgrade")
        appd.ok("set", "web", "--bake", "10ms")
        appd.ok("wait", operation)
    load.assert_nothing_lost()
    assert http.request(port, "/version").text == "2"


def test_a_repetition_of_an_upgrade_has_no_second_effect(appd: Appd) -> None:
    request = str(uuid.uuid4())
    appd.ok("upgrade", "--request-id", request)
    started = server(appd)["start_time"]
    appd.ok("upgrade", "--request-id", request)
    assert server(appd)["start_time"] == started


def test_a_binary_that_would_not_do_is_refused_with_the_reason(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    started = server(appd)["start_time"]
    alone = tmp_path / "alone" / "bin" / "appd"
    alone.parent.mkdir(parents=True)
    shutil.copy(APPD, alone)
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n")
    script.chmod(0o755)
    for binary, words in [
        ("/bin/true", "is no appd"),
        ("/bin/false", "exited with status 1"),
        (str(tmp_path / "none"), "No such file or directory"),
        (str(tmp_path), "Permission denied"),
        (str(script), "error while loading shared libraries"),
        (str(alone), "appd's worker must be installed beside it"),
    ]:
        refused = appd.ctl("upgrade", "--binary", binary).expect(FAILED)
        assert words in refused.stderr, (binary, refused.stderr)
    assert server(appd)["start_time"] == started
    appd.ctl("upgrade", "--request-id", "one").expect(USAGE)


def test_a_binary_that_does_not_know_the_schema_is_refused(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    with sqlite3.connect(f"file:{appd.state_dir}/appd.db?mode=rw", uri=True) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("PRAGMA user_version = 99")
    refused = appd.ctl("upgrade").expect(FAILED)
    assert f"{appd.state_dir}/appd.db: has schema 99, but this appd knows only schemas up to" in refused.stderr
    assert not list(appd.state_dir.glob("*check*")), "the copy that was tried is removed"
    appd.kill9()
    ended = appd.run_to_its_end()
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1 and "has schema 99" in ended.stderr
    with sqlite3.connect(f"file:{appd.state_dir}/appd.db?mode=rw", uri=True) as database:
        database.execute(f"PRAGMA user_version = {version}")
    appd.start()
    appd.wait_ready("web", 1)


def test_check_says_whether_it_would_begin(appd: Appd) -> None:
    checked = appd.run_to_its_end("--check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("appd 0.1.0 schema=")


@pytest.mark.parametrize("way", ["shutdown", "SIGTERM", "SIGQUIT"])
def test_appd_ends_and_the_apps_serve_on(idle_appd: Appd, port: int, tmp_path: Path, way: str) -> None:
    idle_appd.start("--on-term", "keep")
    idle_appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    before = idle_appd.ready_pids("web")
    with Load(f"http://127.0.0.1:{port}/", connections=8, options=("--think", "2")) as load:
        if way == "shutdown":
            told = idle_appd.ok("shutdown", "--keep-apps").stdout
            assert told == "appd has ended: 1 app with 2 workers serve on, the next appd takes them over\n"
        else:
            os.kill(idle_appd.pid, signal.Signals[way])
        assert idle_appd.wait_end() == 0
        idle_appd.start()
        assert idle_appd.wait_ready("web", 2) == before
    load.assert_nothing_lost(at_least=8)  # it may take a moment only


def test_shutdown_drains_the_apps_and_the_next_appd_starts_them(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    request = str(uuid.uuid4())
    told = appd.ok("shutdown", "--request-id", request).stdout
    assert told == "appd has ended: 1 app with 2 workers drained, to be started again by the next appd\n"
    assert appd.wait_end() == 0
    assert http.refused(port)
    appd.start()
    appd.wait_ready("web", 2)


def test_sighup_changes_nothing(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    before = appd.ready_pids("web")
    os.kill(appd.pid, signal.SIGHUP)
    wait_until(lambda: "SIGHUP changes nothing" in appd.log(), "it is said")
    assert appd.ready_pids("web") == before
