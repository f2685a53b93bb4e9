"""appctl doctor: what it finds on a host that is well, and what is broken on purpose."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from harness.appd import DONE, FAILED, UNREACHABLE, Appd, Outcome
from harness.apps import write_app
from harness.paths import PYTHON


def check(outcome: Outcome, subject: str, name: str) -> dict[str, Any]:
    found = [one for one in outcome.json["checks"] if (one["subject"], one["check"]) == (subject, name)]
    assert len(found) == 1, outcome.stdout
    return found[0]


def doctor(appd: Appd, *app: str) -> Outcome:
    return appd.ctl("doctor", *app, "-o", "json")


def test_a_healthy_app_has_nothing_to_complain_of(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    found = doctor(appd, "web")
    for name in ("state", "directory", "interpreter", "address"):
        one = check(found, "web", name)
        assert one["verdict"] == "ok", one
    assert "cpython 3." in check(found, "web", "interpreter")["finding"]
    assert str(appd.pid) in check(found, "host", "appd")["finding"]
    assert check(found, "host", "state")["verdict"] == "ok"
    shown = appd.ctl("doctor", "web").stdout
    assert shown.startswith("host\n") and "\nweb\n" in shown
    counts = found.json
    assert shown.splitlines()[-1].startswith(f"{counts['ok']} ok, ")
    assert found.exit == (DONE if counts["fail"] == 0 else FAILED)
    assert appd.ctl("doctor", "nowhere").expect(FAILED).stderr.count("APP_NOT_FOUND") == 1


def test_finds_what_is_broken_and_says_what_to_do(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = /usr/bin\n")
    python = venv / "bin" / "python"
    python.symlink_to(PYTHON)
    appd.create("web", folder, port, "--python", str(python)).expect(DONE)
    python.unlink()
    python.symlink_to("/usr/bin/python3.99")
    folder.chmod(0o777)
    found = doctor(appd, "web").expect(FAILED)
    interpreter = check(found, "web", "interpreter")
    assert interpreter["verdict"] == "fail"
    assert interpreter["finding"] == f"{python} points to /usr/bin/python3.99, which is not there"
    assert f"venv --clear {venv}" in interpreter["advice"]
    directory = check(found, "web", "directory")
    assert directory["verdict"] == "warn" and "chmod o-w" in directory["advice"]
    shutil.rmtree(folder)
    assert check(doctor(appd, "web").expect(FAILED), "web", "directory")["verdict"] == "fail"


def test_an_app_that_fails_is_told_with_its_cause(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", source="import no_such_module")
    appd.create("web", folder, port).expect(FAILED)
    state = check(doctor(appd).expect(FAILED), "web", "state")
    assert state["verdict"] == "fail" and "no_such_module" in state["finding"]
    assert "appctl get web" in state["advice"]


def test_a_stopped_app_is_told_when_its_address_is_taken(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    appd.ok("stop", "web")
    assert check(doctor(appd), "web", "address")["verdict"] == "ok"
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        address = check(doctor(appd).expect(FAILED), "web", "address")
    assert address["verdict"] == "fail" and "in use" in address["finding"]


def test_a_package_that_the_class_needs_is_asked_for(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    empty = tmp_path / "empty"
    (empty / "bin").mkdir(parents=True)
    (empty / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    (empty / "bin" / "python").symlink_to(PYTHON)
    appd.create("web", folder, port, "--python", str(empty / "bin" / "python")).expect(DONE)
    appd.ok("stop", "web")
    appd.ok("set", "web", "--worker-class", "gevent")
    interpreter = check(doctor(appd).expect(FAILED), "web", "interpreter")
    assert "without gevent" in interpreter["finding"]
    assert "-m pip install gevent" in interpreter["advice"]


def test_a_state_that_others_may_read_is_told(appd: Appd) -> None:
    appd.state_dir.chmod(0o755)
    state = check(doctor(appd).expect(FAILED), "host", "state")
    assert state["advice"] == f"chmod 700 {appd.state_dir}"


def test_the_host_is_looked_at_without_an_appd(appd: Appd) -> None:
    appd.stop()
    found = doctor(appd).expect(UNREACHABLE)
    assert "cannot reach appd" in found.stderr
    assert check(found, "host", "memory")["verdict"] in ("ok", "warn", "fail")
    appd.start()


@pytest.mark.parametrize("form", ["text", "json"])
def test_it_changes_nothing(appd: Appd, port: int, tmp_path: Path, form: str) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--env", "TOKEN=s3cret").expect(DONE)
    before = (appd.get("web"), appd.ready_pids("web"))
    told = appd.ctl("doctor", "-o", form)
    assert (appd.get("web"), appd.ready_pids("web")) == before
    assert "s3cret" not in told.output
