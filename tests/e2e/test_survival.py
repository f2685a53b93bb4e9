"""What was asked for survives: the death of appd, and of everything."""

import os
import signal
import sqlite3
from pathlib import Path

from harness import http, processes
from harness.appd import DONE, Appd
from harness.apps import write_app
from harness.waiting import wait_until


def test_kill_9_of_appd_comes_back_to_17_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(DONE)
    appd.ok("scale", "web", "--workers", "17")
    appd.kill9()
    appd.start()
    pids = appd.wait_ready("web", 17)
    assert all(processes.alive(pid) for pid in pids)
    assert http.request(port).text == "hello"
    # One set of workers only: no orphan of the first appd is left.
    wait_until(lambda: len(serving(pids)) == 17, "no other worker is left")


def serving(expected: set[int]) -> set[int]:
    """Workers that run: children of zygotes of the present appd, and of nobody else."""
    processes.reap_adopted([])
    family = {one.pid for one in processes.descendants(os.getpid()) if not one.zombie}
    assert expected <= family
    zygotes = {processes.process(pid).parent for pid in expected}  # type: ignore[union-attr]
    own = expected | zygotes
    return {one.pid for one in processes.descendants(os.getpid()) if one.parent in own}


def test_reboot_comes_back_to_17_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(DONE)
    appd.ok("scale", "web", "--workers", "17")
    before = appd.ready_pids("web")
    appd.reboot()
    assert not any(processes.alive(pid) for pid in before)
    appd.start()
    assert appd.wait_ready("web", 17).isdisjoint(before)
    assert http.request(port).text == "hello"


def test_reboot_with_an_empty_runtime_dir_comes_back(appd: Appd, port: int, tmp_path: Path) -> None:
    """/run is a tmpfs: after a reboot it is empty."""
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    appd.reboot()
    for file in sorted(appd.runtime_dir.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    appd.runtime_dir.rmdir()
    appd.start()
    appd.wait_ready("web", 3)


def test_every_setting_is_the_same_after_kill_9(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create(
        "web",
        write_app(tmp_path / "web"),
        port,
        *("--workers", "2", "--threads", "3", "--env", "A=1", "--env", "B=two words", "--timeout", "1500ms"),
        *("--warmup-path", "/", "--preload", "on", "--limit-request-body", "1MiB"),
    ).expect(DONE)
    before = appd.get("web")
    appd.kill9()
    appd.start()
    appd.wait_ready("web", 2)
    after = appd.get("web")
    for field in ("spec", "uid", "generation", "etag", "create_time"):
        assert after[field] == before[field], field


def test_stopped_app_stays_stopped_after_kill_9(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    appd.ok("stop", "web")
    appd.kill9()
    appd.start()
    assert appd.observed("web")["state"] == "STOPPED"
    assert http.refused(port)
    appd.ok("start", "web")
    assert len(appd.ready_pids("web")) == 2


def test_deleted_app_stays_deleted_after_kill_9(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    appd.ok("delete", "web")
    appd.kill9()
    appd.start()
    assert appd.apps() == []


def test_reload_asked_for_before_the_crash_is_finished_after_it(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    write_app(folder, version="2")
    appd.ok("reload", "web", "--no-wait")
    appd.kill9()
    appd.start()
    wait_until(lambda: appd.observed("web")["rollout"] == "2" and appd.observed("web")["ready_workers"] == 2, "rollout 2")
    assert http.request(port, "/version").text == "2"


def test_kill_9_of_appd_in_the_middle_of_a_scale_converges(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    appd.ok("scale", "web", "--workers", "17", "--no-wait")
    appd.kill9()
    appd.start()
    appd.wait_ready("web", 17)


def test_ten_kills_of_appd_in_a_row_leave_one_set_of_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(DONE)
    for _ in range(10):
        appd.kill9()
        appd.start()
    pids = appd.wait_ready("web", 3)
    wait_until(lambda: serving(pids) == pids, "no other worker is left")


def test_orderly_stop_drains_and_a_start_brings_all_back(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "5").expect(DONE)
    assert appd.stop() == 0
    assert http.refused(port)
    assert not [one for one in processes.descendants(os.getpid()) if "appd" in one.command_line()]
    appd.start()
    appd.wait_ready("web", 5)


def test_second_signal_ends_appd_at_once(appd: Appd, port: int, tmp_path: Path) -> None:
    """The app holds a request for long; the first SIGTERM drains, the second does not wait."""
    appd.create("web", write_app(tmp_path / "web"), port, "--graceful-timeout", "60s").expect(DONE)
    with http.connect(port) as client:
        client.sendall(b"GET /slow?ms=30000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: appd.workers("web")[0]["busy"] == 1, "the request is in the app")
        assert appd.process is not None
        os.kill(appd.pid, signal.SIGTERM)
        # Two of the same at once would be one (signal(7)).
        wait_until(lambda: appd.workers("web")[0]["state"] == "DRAINING", "appd has taken the first")
        os.kill(appd.pid, signal.SIGTERM)
        wait_until(lambda: not appd.running, "appd has ended")


def test_the_state_file_is_sqlite_in_wal_mode_and_sound(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    appd.kill9()
    with sqlite3.connect(f"file:{appd.state_dir}/appd.db?mode=rw", uri=True) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    appd.start()
    appd.wait_ready("web", 1)
