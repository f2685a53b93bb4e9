"""appctl's verbs as people type them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness import http
from harness.appd import CONFLICT, DONE, FAILED, ROLLED_BACK, UNREACHABLE, USAGE, Appd
from harness.apps import write_app
from harness.paths import APPCTL
from harness.ports import free_port
from harness.waiting import wait_until


def test_create_get_list_status_and_delete(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    created = appd.create("web", folder, port, "--workers", "2", "--env", "A=1").expect(DONE)
    assert "web" in created.output and "2 workers" in created.output
    app = appd.get("web")
    assert app["name"] == "apps/web"
    assert app["spec"]["directory"] == str(folder)
    assert app["spec"]["bind"] == [f"127.0.0.1:{port}"]
    assert app["observed"]["state"] == "ACTIVE"
    assert app["observed"]["ready_workers"] == 2
    assert app["observed"]["python_version"].startswith("3.")
    assert app["generation"] == app["observed"]["generation"] == "1"
    assert [one["name"] for one in appd.apps()] == ["apps/web"]
    for verb in (("list",), ("get", "web"), ("status",), ("workers",)):
        assert "web" in appd.ok(*verb).stdout, verb
    appd.ok("delete", "web")
    assert appd.apps() == []
    assert http.refused(port)
    appd.ctl("get", "web").expect(FAILED)


def test_an_app_created_again_is_another_one(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    uid = appd.get("web")["uid"]
    appd.ok("delete", "web")
    appd.create("web", folder, port).expect(DONE)
    assert appd.get("web")["uid"] != uid


def test_stop_and_start(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    appd.ok("stop", "web")
    assert appd.observed("web")["state"] == "STOPPED"
    assert appd.get("web")["spec"]["run_mode"] == "STOPPED"
    assert appd.workers("web") == []
    assert http.refused(port)
    appd.ok("start", "web")
    assert appd.observed("web")["state"] == "ACTIVE"
    assert len(appd.ready_pids("web")) == 2
    assert http.request(port).text == "hello"


def test_no_wait_returns_before_the_end(appd: Appd, port: int, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    extra = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)\n"
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--no-wait").expect(DONE)
    observed = appd.observed("web")
    assert (observed["state"], observed["ready_workers"]) == ("STARTING", 0)
    gate.touch()
    appd.wait_ready("web", 1)


def test_json_of_every_verb_is_json(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    bind = f"127.0.0.1:{port}"
    verbs = (
        ("create", "web", "--directory", str(folder), "--app", "wsgi:app", "--bind", bind),
        *(("get", "web"), ("list",), ("status",), ("workers", "web"), ("scale", "web", "--workers", "2")),
        *(("set", "web", "--timeout", "9s"), ("reload", "web"), ("stop", "web"), ("start", "web"), ("version",)),
        ("delete", "web"),
    )
    for verb in verbs:
        shown = appd.ok(*verb, "-o", "json").json
        assert isinstance(shown, dict), verb
        assert "Name" not in str(shown.keys()), "proto field names, not camel case"


def test_set_shows_what_changed_and_keeps_the_rest(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--env", "A=1", "--env", "B=2").expect(DONE)
    before = appd.get("web")["spec"]
    appd.ok("set", "web", "--timeout", "12s")
    after = appd.get("web")["spec"]
    assert after.pop("timeout") == "12s" and before.pop("timeout") == "30s"
    assert after == before


APPLY_TOML = """
[apps.web]
directory = "{folder}"
app = "wsgi:app"
bind = ["127.0.0.1:{port}"]
workers = {workers}
timeout = "20s"
[apps.web.env]
GREETING = "hello"
"""


def test_apply_creates_changes_and_is_idempotent(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    manifest = tmp_path / "apps.toml"
    manifest.write_text(APPLY_TOML.format(folder=folder, port=port, workers=2))
    appd.ok("apply", "-f", str(manifest))
    assert len(appd.ready_pids("web")) == 2
    assert http.request(port, "/env?name=GREETING").text == "hello"
    first = appd.get("web")
    appd.ok("apply", "-f", str(manifest))
    assert appd.get("web")["etag"] == first["etag"], "nothing was different, so nothing was changed"
    manifest.write_text(APPLY_TOML.format(folder=folder, port=port, workers=5))
    appd.ok("apply", "-f", str(manifest))
    assert len(appd.ready_pids("web")) == 5


def test_apply_dry_run_shows_the_difference_and_changes_nothing(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    manifest = tmp_path / "apps.toml"
    manifest.write_text(APPLY_TOML.format(folder=folder, port=port, workers=2))
    planned = appd.ok("apply", "-f", str(manifest), "--dry-run")
    assert "web" in planned.stdout
    assert appd.apps() == []
    appd.ok("apply", "-f", str(manifest))
    before = appd.apps()
    manifest.write_text(APPLY_TOML.format(folder=folder, port=port, workers=9))
    planned = appd.ok("apply", "-f", str(manifest), "--dry-run")
    assert "workers" in planned.stdout and "2" in planned.stdout and "9" in planned.stdout
    assert "timeout" not in planned.stdout
    assert appd.apps() == before


def test_apply_takes_json_and_what_get_printed(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    spec = {"directory": str(folder), "app": "wsgi:app", "bind": [f"127.0.0.1:{port}"], "workers": 2}
    manifest = tmp_path / "apps.json"
    manifest.write_text(json.dumps({"apps": {"web": spec}}))
    appd.ok("apply", "-f", str(manifest))
    app = appd.get("web")
    app["spec"]["workers"] = 4
    manifest.write_text(json.dumps(app))
    appd.ok("apply", "-f", str(manifest))
    assert len(appd.ready_pids("web")) == 4


def test_apply_of_several_apps_starts_them_all(appd: Appd, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    text = "".join(
        f'[apps.{name}]\ndirectory = "{folder}"\napp = "wsgi:app"\nbind = ["127.0.0.1:{free_port()}"]\n' for name in ("one", "two")
    )
    (tmp_path / "apps.toml").write_text(text)
    appd.ok("apply", "-f", str(tmp_path / "apps.toml"))
    assert [app["name"] for app in appd.apps()] == ["apps/one", "apps/two"]
    assert len(appd.ready_pids("one") | appd.ready_pids("two")) == 2


def test_apply_reads_stdin(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.ctl("apply", "-f", "-", stdin=APPLY_TOML.format(folder=folder, port=port, workers=1)).expect(DONE)
    assert appd.ready_pids("web")


def test_events_follow_a_change_to_its_end(appd: Appd, port: int, tmp_path: Path) -> None:
    follower = subprocess.Popen(
        [str(APPCTL), "--address", appd.address, "events", "-f", "-o", "json"], stdout=subprocess.PIPE, text=True
    )
    try:
        appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
        assert follower.stdout is not None
        phases, revisions = [], []
        for line in follower.stdout:
            event = json.loads(line)
            revisions.append(int(event["revision"]))
            if "operation" in event:
                phases.append(event["operation"]["phase"])
                if event["operation"]["done"]:
                    break
        assert phases[-1] == "SUCCEEDED"
        assert revisions == sorted(revisions)
    finally:
        follower.terminate()
        follower.communicate()


def test_the_six_exit_codes(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    appd.ctl("get", "nobody").expect(FAILED)
    appd.ctl("scale", "web", "--workers", "0").expect(USAGE)
    write_app(folder, extra="syntax error here")
    appd.ctl("reload", "web").expect(ROLLED_BACK)
    appd.create("web", folder, port).expect(CONFLICT)
    gone = subprocess.run([str(APPCTL), "--address", f"unix:{tmp_path}/none", "list"], capture_output=True, timeout=20)
    assert gone.returncode == UNREACHABLE


def test_address_comes_from_the_environment(appd: Appd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPD_ADDRESS", appd.address)
    shown = subprocess.run([str(APPCTL), "version", "-o", "json"], capture_output=True, text=True, timeout=20)
    assert shown.returncode == DONE
    assert str(appd.pid) in shown.stdout or "version" in shown.stdout


def test_relative_directory_and_interpreter_are_taken_from_where_one_stands(
    appd: Appd, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_app(tmp_path / "web")
    monkeypatch.chdir(tmp_path / "web")
    appd.ok("create", "web", "--directory", ".", "--app", "wsgi:app", "--bind", f"127.0.0.1:{port}")
    assert appd.get("web")["spec"]["directory"] == str(tmp_path / "web")


def test_output_on_a_pipe_has_no_colours_and_no_progress_line(appd: Appd, port: int, tmp_path: Path) -> None:
    created = appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    assert "\x1b" not in created.output and "\r" not in created.output


def test_names_with_control_characters_are_shown_harmless(appd: Appd) -> None:
    refused = appd.ctl("get", "evil\x1b[31m")
    assert refused.exit in (FAILED, USAGE)
    assert "\x1b[31m" not in refused.output


def test_interrupted_wait_leaves_the_change_going(appd: Appd, port: int, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    extra = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)\n"
    folder = write_app(tmp_path / "web", extra=extra)
    waiting = subprocess.Popen(
        [str(APPCTL), "--address", appd.address, "create", "web", "--directory", str(folder), "--app", "wsgi:app"]
        + ["--bind", f"127.0.0.1:{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: appd.apps(), "the app is there")
    os.kill(waiting.pid, 2)
    _, errors = waiting.communicate(timeout=10)
    assert waiting.returncode == 130
    assert "appctl" in errors
    gate.touch()
    appd.wait_ready("web", 1)
