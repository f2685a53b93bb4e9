"""Cancelling: until a change takes over it can be taken back, and from then on it says so."""

import signal
import subprocess
import textwrap
import uuid
from pathlib import Path
from typing import Any

from harness import http
from harness.appd import DONE, FAILED, ROLLED_BACK, USAGE, Appd
from harness.apps import write_app
from harness.load import Load
from harness.paths import APPCTL
from harness.waiting import wait_until


HOLDS = """
def app(environ, start_response):
{}
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
"""


class Gate:
    """Code that says when it is reached, and stands still until it is let go."""

    def __init__(self, folder: Path, name: str = "import") -> None:
        self._reached, self._open = folder / f"{name}-reached", folder / f"{name}-open"

    @property
    def code(self) -> str:
        return (
            f"import pathlib, time\npathlib.Path({str(self._reached)!r}).touch()\n"
            f"while not pathlib.Path({str(self._open)!r}).exists():\n    time.sleep(0.01)\n"
        )

    def wait_reached(self) -> None:
        wait_until(self._reached.exists, "the gate is reached", 30)

    def open(self) -> None:
        self._open.touch()


class Waiting:
    """An appctl that waits for the end of a change."""

    def __init__(self, appd: Appd, *arguments: str) -> None:
        command = [str(APPCTL), "--address", appd.address, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        out, errors = self._process.communicate(timeout=60)
        return self._process.returncode, out + errors


def open_operation(appd: Appd) -> str:
    def found() -> str:
        all_of_them = appd.ok("operations", "web", "-o", "json").json["operations"]
        return next((one["name"] for one in all_of_them if not one.get("done")), "")

    return wait_until(found, "the change is under way")


def operation(appd: Appd, name: str) -> dict[str, Any]:
    return next(one for one in appd.ok("operations", "-o", "json").json["operations"] if one["name"] == name)


def test_a_reload_that_hangs_is_cancelled_and_no_request_notices(appd: Appd, port: int, tmp_path: Path) -> None:
    folder, gate = write_app(tmp_path / "web"), Gate(tmp_path)
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, version="2", extra=gate.code)
    with Load(f"http://127.0.0.1:{port}/version", connections=8, options=("--think", "5")) as load:
        waiting = Waiting(appd, "reload", "web")
        gate.wait_reached()
        name = open_operation(appd)
        cancelled = appd.ok("cancel", name, "--reason", "the wrong branch")
        status, told = waiting.end()
    load.assert_nothing_lost()
    assert cancelled.stdout == "web: reload cancelled; 2 workers serve on as before\n"
    assert status == ROLLED_BACK
    assert "reload of web was cancelled by " in told and "the wrong branch" in told
    assert "Rollout 1 serves on with 2 workers." in told
    wait_until(lambda: not appd.observed("web")["reconciling"], "the new code has gone")
    assert appd.ready_pids("web") == before
    assert appd.observed("web")["state"] == "ACTIVE"
    assert "last_failure" not in appd.observed("web"), "nothing has failed"
    ended = operation(appd, name)
    assert (ended["phase"], ended["error"]["code"]) == ("CANCELLED", 1)
    # What was cancelled is no obstacle to what comes next.
    gate.open()
    appd.ok("reload", "web")
    assert http.request(port, "/version").text == "2"


def test_the_settings_of_a_cancelled_change_are_taken_back_and_the_history_says_who(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    folder, gate = write_app(tmp_path / "web"), Gate(tmp_path)
    appd.create("web", folder, port, "--env", "GREETING=hello").expect(DONE)
    write_app(folder, extra=gate.code)
    waiting = Waiting(appd, "set", "web", "--env", "GREETING=servus")
    gate.wait_reached()
    name = open_operation(appd)
    appd.ok("cancel", name.removeprefix("operations/"), "--reason", "too warm")
    assert waiting.end()[0] == ROLLED_BACK
    present, cancelled, first = appd.ok("history", "web", "-o", "json").json["revisions"]
    assert (cancelled["method"], cancelled["outcome"]) == ("UpdateApp", "CANCELLED")
    assert cancelled["outcome_message"] == present["reason"]
    assert present["reason"].startswith("cancelled") and present["reason"].endswith(": too warm")
    assert present["restores"] == first["number"] and present["caller"]["pid"]
    assert present["env_since"] == {"GREETING": first["number"]}, "it has its old value again"
    history = appd.ok("history", "web").stdout
    assert "cancelled" in history and "taken back to 1" in history
    nothing = appd.ctl("rollback", "web").expect(FAILED)
    assert "[NOTHING_TO_ROLL_BACK]" in nothing.stderr, "it has been taken back already"
    # Nor does the next appd, or a new zygote, bring it back.
    gate.open()
    appd.reboot()
    appd.start()
    appd.wait_ready("web", 1)
    assert http.request(port, "/env?name=GREETING").text == "hello"


def test_a_canary_that_bakes_is_cancelled_and_drained(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "3", "--canary", "1", "--bake", "1h").expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, version="2")
    name = appd.ok("reload", "web", "--no-wait").stdout.strip()
    with Load(f"http://127.0.0.1:{port}/version", connections=8, options=("--fresh", "--think", "2")) as load:
        wait_until(lambda: len(appd.ready_pids("web")) == 4, "the canary serves", 30)
        appd.ok("cancel", name)
        wait_until(lambda: appd.ready_pids("web") == before, "the canary has gone", 30)
    load.assert_nothing_lost()
    assert operation(appd, name)["phase"] == "CANCELLED"


def test_a_run_once_command_is_told_and_given_time(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    tidy = "until test -e go; do sleep 0.05; done; echo ended >>ran; exit 1"
    task = f"sh -c 'trap \"echo told >>ran; {tidy}\" TERM; echo begun >>ran; while :; do sleep 0.05; done'"
    name = appd.ok("set", "web", "--run-once", task, "--no-wait").stdout.strip()
    wait_until(lambda: (folder / "ran").exists(), "the task has begun", 30)
    appd.ok("cancel", name)
    assert operation(appd, name)["phase"] == "CANCELLED"
    wait_until(lambda: "told" in (folder / "ran").read_text(), "the task knows", 30)
    (folder / "go").touch()
    wait_until(lambda: not appd.observed("web")["reconciling"], "all of it has gone", 30)
    assert (folder / "ran").read_text() == "begun\ntold\nended\n"
    assert not appd.get("web")["spec"].get("run_once")


def test_what_cannot_be_cancelled_says_what_to_do_instead(appd: Appd, port: int, tmp_path: Path) -> None:
    gate, request = Gate(tmp_path), Gate(tmp_path, "request")
    folder = write_app(tmp_path / "web", source=gate.code + HOLDS.format(textwrap.indent(request.code, "    ")))
    limits = ("--timeout", "0", "--graceful-timeout", "0")
    creating = appd.create("web", folder, port, *limits, "--no-wait").expect(DONE).stdout.strip()
    first = appd.ctl("cancel", creating).expect(FAILED)
    assert "[NOT_CANCELLABLE]" in first.stderr and "appctl stop web" in first.stderr
    gate.open()
    appd.ok("wait", creating)
    ended = appd.ctl("cancel", creating).expect(FAILED)
    assert "[OPERATION_DONE]" in ended.stderr

    # A worker's only thread is in a request: what the worker is told takes as long.
    with http.connect(port) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        request.wait_reached()
        scale = appd.ok("scale", "web", "--threads", "2", "--no-wait").stdout.strip()
        live = appd.ctl("cancel", scale).expect(FAILED)
        assert "[NOT_CANCELLABLE]" in live.stderr and "change web back" in live.stderr
        reload = appd.ok("reload", "web", "--no-wait").stdout.strip()
        wait_until(lambda: operation(appd, reload)["phase"] == "DRAINING", "only that request is left", 30)
        late = appd.ctl("cancel", reload).expect(FAILED)
        assert "[NOT_CANCELLABLE]" in late.stderr and "appctl rollback web" in late.stderr
        deletion = appd.ok("delete", "web", "--no-wait").stdout.strip()
        gone = appd.ctl("cancel", deletion).expect(FAILED)
        assert "[NOT_CANCELLABLE]" in gone.stderr and "create it anew" in gone.stderr
        request.open()
        assert http.read_to_end(slow).endswith(b"done")
    unknown = appd.ctl("cancel", str(uuid.uuid4())).expect(FAILED)
    assert "[OPERATION_NOT_FOUND]" in unknown.stderr
    appd.ctl("cancel", "web").expect(USAGE)


def test_a_cancellation_is_done_once_and_survives_the_death_of_appd(idle_appd: Appd, port: int, tmp_path: Path) -> None:
    appd = idle_appd
    appd.start()
    folder, gate = write_app(tmp_path / "web"), Gate(tmp_path)
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    before = appd.ready_pids("web")
    appd.kill9()
    # The creation was this appd's first change, the reload is the next one's.
    appd.start(failpoints="change.recorded=kill")
    write_app(folder, version="2", extra=gate.code)
    name = appd.ok("reload", "web", "--no-wait").stdout.strip()
    gate.wait_reached()
    request_id = str(uuid.uuid4())
    cancelling = Waiting(appd, "cancel", name, "--request-id", request_id)
    appd.wait_end()
    appd.start()
    assert cancelling.end()[0] == DONE, "the answer was lost, the cancellation was not"
    appd.ok("cancel", name, "--request-id", request_id)
    appd.ok("cancel", name)
    assert operation(appd, name)["phase"] == "CANCELLED"
    wait_until(lambda: not appd.observed("web")["reconciling"], "the new code has gone", 30)
    assert appd.ready_pids("web") == before
    other = appd.ctl("reload", "web", "--request-id", request_id).expect(USAGE)
    assert "[REQUEST_ID_REUSED]" in other.stderr


def test_an_interrupted_wait_says_how_to_cancel(appd: Appd, port: int, tmp_path: Path) -> None:
    folder, gate = write_app(tmp_path / "web"), Gate(tmp_path)
    appd.create("web", folder, port).expect(DONE)
    write_app(folder, extra=gate.code)
    waiting = Waiting(appd, "reload", "web")
    gate.wait_reached()
    name = open_operation(appd)
    waiting.interrupt()
    status, told = waiting.end()
    assert status == 130
    assert f"appctl wait {name}" in told and f"appctl cancel {name}" in told
    appd.ok("cancel", name)
