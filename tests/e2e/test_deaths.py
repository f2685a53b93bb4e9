"""Certificates of death: why a worker ended, what it had in hand, and where that is kept."""

import http.client
import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from harness import http as web
from harness import processes
from harness.appd import DONE, FAILED, Appd
from harness.apps import write_app
from harness.ports import free_port
from harness.waiting import wait_until

CRASH = """
import ctypes, sys
def segfault(environ, start_response):
    print("about to crash", file=sys.stderr)
    ctypes.string_at(0)
"""


def deaths(appd: Appd, name: str) -> list[dict[str, Any]]:
    return appd.ok("workers", name, "--dead", "-o", "json").json.get("deaths", [])


def wait_for_death(appd: Appd, name: str, pid: int) -> dict[str, Any]:
    return wait_until(
        lambda: next((death for death in deaths(appd, name) if death["pid"] == pid), None), f"the certificate of {pid}"
    )


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def hang_up(port: int, path: str) -> None:
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        web.request(port, path)


def test_a_crash_is_certified_with_the_request_in_hand_and_the_last_lines_of_the_log(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    appd.expect_error("Segmentation|Fatal Python")
    appd.create("web", write_app(tmp_path / "web", extra=CRASH), port, app="wsgi:segfault").expect(DONE)
    (victim,) = appd.ready_pids("web")
    hang_up(port, "/boom?x=1")
    death = wait_for_death(appd, "web", victim)
    assert (death["cause"], death["signal"], death["busy"]) == ("CRASHED", signal.SIGSEGV, 1)
    assert "SIGSEGV" in death["reason"]
    (request,) = death["requests_in_hand"]
    assert (request["method"], request["path"]) == ("GET", "/boom?x=1")
    assert "about to crash" in death["log_tail"]
    assert death["start_time"] <= death["ready_time"] <= death["end_time"]
    observed = appd.observed("web")
    assert observed["last_death"] == death["name"]
    assert "SIGSEGV" in observed["last_death_reason"]
    number = death["name"].rsplit("/", 1)[1]
    shown = appd.ok("workers", "web", "--dead", number).stdout
    assert "GET /boom?x=1" in shown and "about to crash" in shown
    assert "crashed" in appd.ok("workers", "--dead").stdout


def test_an_exit_and_a_kill_from_outside_are_told_apart(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    shot = min(appd.ready_pids("web"))
    os.kill(shot, signal.SIGKILL)
    killed = wait_for_death(appd, "web", shot)
    assert (killed["cause"], killed["signal"], killed["busy"]) == ("KILLED", signal.SIGKILL, 0)
    assert "OOM" in killed["reason"], "it might have been"
    hang_up(port, "/exit")
    left = wait_until(lambda: next((d for d in deaths(appd, "web") if d.get("exit_status") == 7), None), "the exit")
    assert left["cause"] == "CRASHED"
    assert [death["name"] for death in deaths(appd, "web")] == ["apps/web/deaths/2", "apps/web/deaths/1"]


def test_who_was_asked_to_go_and_went_is_only_counted(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(DONE)
    appd.ok("scale", "web", "--workers", "1")
    appd.ok("reload", "web")
    assert deaths(appd, "web") == []
    assert appd.observed("web")["drained_exits"] == "4"
    assert "no worker has died" in appd.ok("workers", "web", "--dead").stdout


def test_what_is_cut_off_at_graceful_timeout_is_named(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "1", "--threads", "4", "--graceful-timeout", "1s").expect(DONE)
    (victim,) = appd.ready_pids("web")
    with web.connect(port) as first, web.connect(port) as second:
        for number, client in enumerate((first, second)):
            client.sendall(f"GET /slow?ms=60000&n={number} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        wait_until(lambda: appd.workers("web")[0]["busy"] == 2, "both are in the app")
        appd.ok("reload", "web")
    death = wait_for_death(appd, "web", victim)
    assert (death["cause"], death["limit"], death["busy"]) == ("GRACEFUL_TIMEOUT", "graceful_timeout", 2)
    assert {request["path"] for request in death["requests_in_hand"]} == {"/slow?ms=60000&n=0", "/slow?ms=60000&n=1"}
    assert all(float(request["age"].rstrip("s")) >= 1 for request in death["requests_in_hand"])


def test_an_import_that_fails_in_a_worker_is_a_certificate_too(appd: Appd, port: int, tmp_path: Path) -> None:
    extra = "import os\nif os.path.exists('broken'): raise RuntimeError('no more')"
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--preload", "off").expect(DONE)
    (folder / "broken").touch()
    (victim,) = appd.ready_pids("web")
    os.kill(victim, signal.SIGKILL)
    failed = wait_until(lambda: next((d for d in deaths(appd, "web") if d["cause"] == "BOOT_FAILED"), None), "the failure")
    assert "RuntimeError: no more" in failed["reason"]
    assert "ready_time" not in failed
    wait_until(lambda: appd.observed("web")["process_state"] == "BACKOFF", "appd pauses")
    (folder / "broken").unlink()
    appd.wait_ready("web", 1)
    assert appd.observed("web")["process_state"] == "RUNNING"


def test_who_dies_while_appd_is_dead_is_certified_by_the_next(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    before = {worker["pid"]: worker["start_time"] for worker in appd.workers("web")}
    appd.kill9()
    with web.connect(port) as client:
        client.sendall(b"GET /exit HTTP/1.1\r\nHost: a\r\n\r\n")
        assert web.read_to_end(client) == b""
    appd.start()
    wait_until(lambda: deaths(appd, "web"), "the certificate")
    (death,) = deaths(appd, "web")
    assert death["exit_status"] == 7
    assert death["requests_in_hand"][0]["path"] == "/exit"
    appd.wait_ready("web", 2)
    (adopted,) = [worker for worker in appd.workers("web") if worker["pid"] in before]
    moved = moment(adopted["start_time"]) - moment(before[adopted["pid"]])
    assert abs(moved.total_seconds()) < 1, "who was adopted keeps its age"


def test_certificates_survive_appd_and_go_with_their_app(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    (victim,) = appd.ready_pids("web")
    os.kill(victim, signal.SIGKILL)
    before = wait_for_death(appd, "web", victim)
    appd.wait_ready("web", 1)
    appd.kill9()
    appd.start()
    assert deaths(appd, "web") == [before]
    assert appd.observed("web")["last_death"] == before["name"]
    appd.ok("delete", "web")
    appd.create("web", tmp_path / "web", port).expect(DONE)
    assert deaths(appd, "web") == []
    refused = appd.ctl("workers", "web", "--dead", "1")
    assert refused.exit == FAILED and "DEATH_NOT_FOUND" in refused.stderr


def memory_cgroup() -> Path | None:
    """A cgroup of version 1 or 2 that we may make children of; None where there is none."""
    for root in (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")):
        if (root / "memory.limit_in_bytes").exists() or "memory" in _controllers(root):
            return root if os.access(root, os.W_OK) else None
    return None


def _controllers(root: Path) -> str:
    file = root / "cgroup.subtree_control"
    return file.read_text() if file.exists() else ""


def test_a_worker_that_the_kernel_kills_for_memory_is_told_apart(appd: Appd, port: int, tmp_path: Path) -> None:
    root = memory_cgroup()
    if root is None:
        pytest.skip("no memory cgroup that this test may use")
    group = root / f"appd-e2e-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made: {error}")
    extra = """
def eat(environ, start_response):
    hoard = []
    while True:
        hoard.append(b"x" * (8 << 20))
"""
    try:
        limit = "memory.limit_in_bytes" if (group / "memory.limit_in_bytes").exists() else "memory.max"
        appd.create("web", write_app(tmp_path / "web", extra=extra), port, app="wsgi:eat").expect(DONE)
        (worker,) = appd.ready_pids("web")
        zygote = processes.process(worker).parent  # type: ignore[union-attr]
        (group / "cgroup.procs").write_text(str(zygote))
        # Only what is forked from now on lives in the group.
        os.kill(worker, signal.SIGKILL)
        wait_for_death(appd, "web", worker)
        (worker,) = appd.wait_ready("web", 1)
        (group / limit).write_text(str(96 << 20))
        hang_up(port, "/eat")
        death = wait_for_death(appd, "web", worker)
        assert (death["cause"], death["limit"], death["signal"]) == ("OUT_OF_MEMORY", "memory", signal.SIGKILL)
        assert death["requests_in_hand"][0]["path"] == "/eat"
    finally:
        appd.ctl("delete", "web")
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the group is empty")
        group.rmdir()


def test_a_crash_loop_and_a_hanging_import_slow_no_other_app(appd: Appd, port: int, tmp_path: Path) -> None:
    crash = "import os, threading\nif os.environ.get('CRASH'): threading.Timer(0.05, os._exit, (3,)).start()"
    hang = "import time\ntime.sleep(600)"
    loop, hung = free_port(), free_port()
    appd.create("loop", write_app(tmp_path / "loop", extra=crash), loop, "--env", "CRASH=1", "--preload", "off", "--no-wait")
    appd.create("hung", write_app(tmp_path / "hung", extra=hang), hung, "--boot-timeout", "60s", "--no-wait")
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    wait_until(lambda: appd.observed("loop")["process_state"] == "BACKOFF", "appd pauses between the tries")
    assert appd.observed("hung")["process_state"] == "STARTING"
    appd.ok("scale", "web", "--workers", "6")
    assert web.request(port).text == "hello"
    appd.ok("reload", "web")
    assert appd.observed("web")["process_state"] == "RUNNING"
    assert appd.observed("hung")["process_state"] == "STARTING", "and that took no time"
    status = appd.ok("status").stdout
    assert "BACKOFF" in status or "STARTING" in status
    assert {worker["process_state"] for worker in appd.workers("web")} == {"RUNNING"}
