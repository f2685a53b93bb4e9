"""Reloading: new code takes over without a lost request, and bad code never does."""

import threading
from pathlib import Path
from typing import Any

import pytest

from harness import http
from harness.appd import CONFLICT, DONE, ROLLED_BACK, Appd
from harness.apps import write_app
from harness.events import Events
from harness.load import Load
from harness.waiting import wait_until

CONNECTIONS = 64
STEADY = ("--think", "5")


def test_five_reloads_in_a_row_under_keepalive_load_lose_no_request(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", version="0")
    appd.create("web", folder, port, "--workers", "4").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS, options=STEADY) as load:
        for version in range(1, 6):
            write_app(folder, version=str(version))
            before = appd.ready_pids("web")
            appd.ok("reload", "web")
            assert http.request(port, "/version").text == str(version)
            assert appd.ready_pids("web").isdisjoint(before)
    load.assert_nothing_lost()
    assert appd.observed("web")["rollout"] == "6"
    assert len(appd.ready_pids("web")) == 4


def test_reload_while_saturated_loses_no_request(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS) as load:
        for _ in range(3):
            appd.ok("reload", "web")
    load.assert_nothing_lost(1000)


def test_reload_under_fresh_connections_loses_no_request(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=("--fresh",)) as load:
        for _ in range(3):
            appd.ok("reload", "web")
    load.assert_nothing_lost()


def test_reload_under_slow_uploads_loses_none(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2", "--threads", "4").expect(DONE)
    upload = ("--upload", "65536", "--chunk", "4096", "--chunk-pause", "10", "--expect-echo")
    with Load(f"http://127.0.0.1:{port}/upload", connections=16, options=upload) as load:
        for _ in range(2):
            appd.ok("reload", "web")
    load.assert_nothing_lost(at_least=16)


def test_reload_under_pipelined_requests_loses_none(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=("--pipeline", "8", "--think", "2")) as load:
        for _ in range(3):
            appd.ok("reload", "web")
    load.assert_nothing_lost()


def test_idle_keepalive_connections_survive_until_their_next_request(appd: Appd, port: int, tmp_path: Path) -> None:
    """A client that has been idle sends its next request while the worker drains: it is answered."""
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS, options=("--think", "200")) as load:
        for _ in range(3):
            appd.ok("reload", "web")
    load.assert_nothing_lost(at_least=64)


def test_syntax_error_is_rolled_back_with_the_traceback(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, version="2", extra="def broken(:\n    pass")
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS, options=STEADY) as load:
        failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    load.assert_nothing_lost()
    assert "SyntaxError" in failed.output
    line = (folder / "wsgi.py").read_text().splitlines().index("def broken(:") + 1
    assert f'{folder}/wsgi.py", line {line}' in failed.output
    # The old code serves on, in the same processes, and appd's state says why.
    assert http.request(port, "/version").text == "1"
    assert appd.ready_pids("web") == before
    app = appd.get("web")
    assert app["observed"]["state"] == "ACTIVE"
    assert app["observed"]["rollout"] == "1"
    failure = app["observed"]["last_failure"]
    assert failure["cause"] == "IMPORT_FAILED"
    assert "SyntaxError" in failure["message"]
    assert "wsgi.py" in failure["traceback"]
    # Once put right, it is loaded, and the failure is history.
    write_app(folder, version="3")
    appd.ok("reload", "web")
    assert http.request(port, "/version").text == "3"
    assert not appd.observed("web").get("last_failure")


BAD_CODE = {
    "import_error": ("import no_such_module_anywhere\n", "IMPORT_FAILED", "ModuleNotFoundError"),
    "exception": ("raise ValueError('not today')\n", "IMPORT_FAILED", "not today"),
    "missing_callable": ("something_else = 1\n", "APP_NOT_FOUND", "app"),
    "not_callable": ("app = 42\n", "APP_NOT_FOUND", "app"),
    "exit_on_import": ("import os\nos._exit(7)\n", "WORKER_DIED", "7"),
    "sys_exit_on_import": ("import sys\nsys.exit('bye')\n", "IMPORT_FAILED", "bye"),
    "killed_on_import": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "WORKER_DIED", "SIGSEGV"),
}


@pytest.mark.parametrize("preload", ["auto", "off"])
@pytest.mark.parametrize("kind", BAD_CODE)
def test_bad_code_is_rolled_back(appd: Appd, port: int, tmp_path: Path, kind: str, preload: str) -> None:
    source, cause, words = BAD_CODE[kind]
    appd.expect_error("event=boot_failed")
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2", "--preload", preload).expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, source=source)
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    failure = appd.observed("web")["last_failure"]
    assert failure["cause"] == cause, failure
    assert words in failure["message"] + failure["traceback"], failure
    assert words in failed.output
    assert appd.ready_pids("web") == before
    assert http.request(port, "/version").text == "1"


def test_module_that_has_gone_is_rolled_back(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    (folder / "wsgi.py").unlink()
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert "No module named 'wsgi'" in failed.output
    assert http.request(port).text == "hello"


@pytest.mark.parametrize("preload", ["auto", "off"])
def test_import_that_hangs_is_given_up_after_boot_timeout(appd: Appd, port: int, tmp_path: Path, preload: str) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--boot-timeout", "2s", "--preload", preload).expect(DONE)
    write_app(folder, extra="import threading\nthreading.Event().wait()")
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert appd.observed("web")["last_failure"]["cause"] == "BOOT_TIMEOUT"
    assert "2s" in failed.output or "2 s" in failed.output
    assert http.request(port).text == "hello"


def test_later_reload_supersedes_the_one_in_flight(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    gate = tmp_path / "gate"
    wait_for_gate = f"""
import pathlib, time
while not pathlib.Path({str(gate)!r}).exists():
    time.sleep(0.01)
"""
    write_app(folder, version="2", extra=wait_for_gate)
    first: list[int] = []
    waiting = threading.Thread(target=lambda: first.append(appd.ctl("reload", "web").exit))
    waiting.start()
    try:
        wait_until(lambda: appd.observed("web")["state"] == "UPDATING", "the first reload has begun")
        write_app(folder, version="3")
        appd.ok("reload", "web")
    finally:
        gate.touch()
        waiting.join()
    assert first == [CONFLICT]
    assert http.request(port, "/version").text == "3"


def test_fifty_reloads_back_to_back_end_with_the_newest_code(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        for _ in range(50):
            appd.ok("reload", "web", "--no-wait")
        write_app(folder, version="last")
        appd.ok("reload", "web")
    load.assert_nothing_lost()
    assert http.request(port, "/version").text == "last"
    assert len(appd.ready_pids("web")) == 2


def test_a_reload_has_succeeded_when_the_last_old_worker_has_gone(
    appd: Appd, events: Events, port: int, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    old = appd.ready_pids("web")
    answers: list[str] = []
    slow = threading.Thread(target=lambda: answers.append(http.request(port, "/slow?ms=2500").text))
    slow.start()
    wait_until(lambda: any(worker["busy"] for worker in appd.workers("web")), "a request is in hand")
    write_app(folder, version="2")
    appd.ok("reload", "web")
    assert not any(pid_is_there(pid) for pid in old)
    slow.join()
    assert answers == ["slept"]
    operation = appd.get("web")["operation"]
    events.wait_for(lambda event: phase_of(event, operation) == "SUCCEEDED", "the end")
    phases = [phase_of(event, operation) for event in events.seen if phase_of(event, operation)]
    in_order = iter(phases)
    assert all(phase in in_order for phase in ("PREPARING", "WARMING", "SWITCHING", "DRAINING", "SUCCEEDED")), phases


def pid_is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def phase_of(event: dict[str, Any], operation: str) -> str | None:
    of = event.get("operation", {})
    return of["phase"] if of.get("name") == operation else None


def test_two_deploys_at_once_end_in_one_defined_state(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "1"), port, "--workers", "2").expect(DONE)
    folders = {version: write_app(tmp_path / version, version=version) for version in ("2", "3")}
    exits: dict[str, int] = {}

    def deploy(version: str) -> None:
        exits[version] = appd.ctl("set", "web", "--directory", str(folders[version])).exit

    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        deploys = [threading.Thread(target=deploy, args=(version,)) for version in folders]
        for one in deploys:
            one.start()
        for one in deploys:
            one.join()
    load.assert_nothing_lost()
    # What is set is what serves, and whoever's change it is not was told so, unless it had served before.
    serves = http.request(port, "/version").text
    assert appd.get("web")["spec"]["directory"] == str(folders[serves])
    assert exits[serves] == DONE
    assert set(exits.values()) <= {DONE, CONFLICT}
    assert {worker["rollout"] for worker in appd.workers("web")} == {"3"}
