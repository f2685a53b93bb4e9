"""The history: who changed what when and why, how it ended; and the way back."""

import getpass
import os
import re
import sqlite3
import uuid
from pathlib import Path
from typing import Any

from harness import http
from harness.appd import CONFLICT, DONE, FAILED, ROLLED_BACK, USAGE, Appd
from harness.apps import write_app
from harness.load import Load


def history(appd: Appd, name: str = "web") -> list[dict[str, Any]]:
    """Oldest first, so that revision n is at n - 1."""
    return list(reversed(appd.ok("history", name, "-o", "json").json["revisions"]))


def outcomes(appd: Appd) -> list[str]:
    return [f"{one['method'] or 'appd'} {one['outcome']}" for one in history(appd)]


def env(port: int, name: str) -> str:
    return http.request(port, f"/env?name={name}").text


def test_tells_it_all_and_survives_a_restart(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "4", "--reason", "first").expect(DONE)
    appd.ok("scale", "web", "--workers", "6", "--reason", "sale")
    write_app(folder, version="2")
    appd.ok("reload", "web", "--reason", "release 2")
    write_app(folder, source="import no_such_module")
    appd.ctl("reload", "web", "--reason", "release 3").expect(ROLLED_BACK)
    write_app(folder, version="3")
    appd.ctl("set", "web", "--app", "nowhere:app", "--reason", "a slip").expect(ROLLED_BACK)
    appd.ok("rollback", "web", "--to", "1", "--reason", "too many")

    kept = history(appd)
    assert outcomes(appd) == [
        "CreateApp SUCCEEDED",
        "ScaleApp SUCCEEDED",
        "ReloadApp SUCCEEDED",
        "ReloadApp ROLLED_BACK",
        "UpdateApp ROLLED_BACK",
        "appd SUCCEEDED",
        "RollbackApp SUCCEEDED",
    ]
    assert [int(one["number"]) for one in kept] == [1, 2, 3, 4, 5, 6, 7]
    assert [one["spec"]["workers"] for one in kept] == [4, 6, 6, 6, 6, 6, 4]
    assert [one["restores"] for one in kept] == ["0"] * 5 + ["4", "1"]
    assert kept[3]["cause"] == "IMPORT_FAILED"
    assert "no_such_module" in kept[3]["outcome_message"]
    assert [one["reason"] for one in kept[:5]] == ["first", "sale", "release 2", "release 3", "a slip"]
    assert "nowhere" in kept[5]["reason"], "what appd takes back says why"
    for one in kept[:5]:
        assert one["caller"]["uid"] == str(os.getuid())
        assert one["caller"]["user"] == getpass.getuser()
        assert one["caller"]["client"].startswith("appctl/")
    assert "caller" not in kept[5]
    assert appd.get("web")["revision"] == "7"

    text = appd.ok("history", "web").stdout
    for words in ("created", "workers 4 → 6", "reloaded", "taken back to 4: app nowhere:app → wsgi:app"):
        assert words in text, text
    assert "rolled back to 1: workers 6 → 4" in text
    assert "rolled back (import failed): " in text

    appd.kill9()
    appd.start()
    appd.wait_ready("web", 4)
    assert history(appd) == kept
    assert appd.ok("history", "web").stdout == text


def test_rollback_under_load_returns_to_the_last_good_settings(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2", "--env", "COLOUR=red").expect(DONE)
    appd.ok("set", "web", "--env", "COLOUR=blue", "--env", "SIZE=9")
    appd.ok("reload", "web")
    assert env(port, "COLOUR") == "blue"
    before = appd.ready_pids("web")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=("--think", "5")) as load:
        done = appd.ok("rollback", "web")
    load.assert_nothing_lost()
    assert done.stdout.startswith("web: rolled back to revision 1, 2 workers ready")
    assert (env(port, "COLOUR"), env(port, "SIZE")) == ("red", "(unset)")
    assert appd.ready_pids("web").isdisjoint(before), "it is a new rollout"
    appd.ok("rollback", "web")
    assert env(port, "COLOUR") == "blue", "a rollback can be undone"


def test_releases_go_to_and_fro(appd: Appd, port: int, tmp_path: Path) -> None:
    for release in ("41", "42"):
        write_app(tmp_path / release, version=release)
    appd.create("web", tmp_path / "41", port).expect(DONE)
    appd.ok("set", "web", "--directory", str(tmp_path / "42"))
    assert http.request(port, "/version").text == "42"
    appd.ok("rollback", "web")
    assert http.request(port, "/version").text == "41"


def test_a_rollback_that_does_not_work_is_refused_as_any_change(appd: Appd, port: int, tmp_path: Path) -> None:
    for release in ("41", "42"):
        write_app(tmp_path / release, version=release)
    appd.create("web", tmp_path / "41", port).expect(DONE)
    appd.ok("set", "web", "--directory", str(tmp_path / "42"))
    write_app(tmp_path / "41", source="raise RuntimeError('rotten')")
    failed = appd.ctl("rollback", "web").expect(ROLLED_BACK)
    assert "rotten" in failed.stderr
    assert http.request(port, "/version").text == "42"
    assert appd.get("web")["spec"]["directory"] == str(tmp_path / "42")
    (tmp_path / "41" / "wsgi.py").unlink()
    (tmp_path / "41").rename(tmp_path / "gone")
    gone = appd.ctl("rollback", "web", "--to", "1").expect(USAGE)
    assert "directory" in gone.stderr, "what only the host can tell is checked too"


def test_what_cannot_be_rolled_back_says_why(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    assert "NOTHING_TO_ROLL_BACK" in appd.ctl("rollback", "web").expect(FAILED).stderr
    appd.ok("scale", "web", "--workers", "2")
    assert "REVISION_NOT_FOUND" in appd.ctl("rollback", "web", "--to", "9").expect(FAILED).stderr
    assert "APP_NOT_FOUND" in appd.ctl("rollback", "absent").expect(FAILED).stderr
    appd.ctl("rollback", "web", "--etag", 'W/"1"').expect(CONFLICT)
    # appd has undone the last change by itself: there is nothing that a script could undo once more.
    appd.ctl("set", "web", "--app", "nowhere:app").expect(ROLLED_BACK)
    assert "taken back already" in appd.ctl("rollback", "web").expect(FAILED).stderr
    assert len(appd.ready_pids("web")) == 2


def test_rollback_of_a_stopped_app_waits_for_its_start(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--env", "COLOUR=red").expect(DONE)
    appd.ok("stop", "web")
    appd.ok("set", "web", "--env", "COLOUR=blue")
    appd.ok("rollback", "web")
    assert appd.observed("web")["state"] == "STOPPED"
    appd.ok("start", "web")
    assert env(port, "COLOUR") == "red"


def test_a_retried_request_has_one_effect_and_one_end(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    create, reload, scale, back, bad = (("--request-id", str(uuid.uuid4())) for _ in range(5))
    for _ in range(2):
        appd.create("web", folder, port, *create).expect(DONE)
    for _ in range(2):
        appd.ok("reload", "web", *reload)
    for _ in range(2):
        appd.ok("scale", "web", "--workers", "3", *scale)
    for _ in range(2):
        appd.ok("rollback", "web", *back)
    for _ in range(2):
        appd.ctl("set", "web", "--app", "nowhere:app", *bad).expect(ROLLED_BACK)
    assert outcomes(appd) == [
        "CreateApp SUCCEEDED",
        "ReloadApp SUCCEEDED",
        "ScaleApp SUCCEEDED",
        "RollbackApp SUCCEEDED",
        "UpdateApp ROLLED_BACK",
        "appd SUCCEEDED",
    ]
    appd.kill9()
    appd.start()
    appd.ctl("set", "web", "--app", "nowhere:app", *bad).expect(ROLLED_BACK)
    assert len(history(appd)) == 6
    reused = appd.ctl("rollback", "web", "--to", "1", *back).expect(USAGE)
    assert "REQUEST_ID_REUSED" in reused.stderr


def test_diff_and_history_name_variables_and_never_their_values(appd: Appd, port: int, tmp_path: Path) -> None:
    secrets = ("first-secret", "second-secret")
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--env", f"TOKEN={secrets[0]}", "--env", "OLD=x").expect(DONE)
    appd.ok("set", "web", "--env", f"TOKEN={secrets[1]}", "--unset-env", "OLD", "--threads", "4")
    shown = appd.ok("diff", "web").stdout
    assert shown.splitlines()[1:] == ["  ~ threads: 1 → 4", "  ~ env.TOKEN: changed", "  - env.OLD"]
    appd.ok("rollback", "web")
    assert env(port, "TOKEN") == secrets[0]
    told = "".join(
        appd.ok(*command, *form).output
        for command in (("history", "web"), ("diff", "web"), ("diff", "web", "--from", "1"))
        for form in ((), ("-o", "json"))
    )
    assert "env.TOKEN" in told
    assert not any(secret in told for secret in secrets)
    assert "no setting differs" in appd.ok("diff", "web", "--from", "1").stdout
    assert not any(secret in appd.log() for secret in secrets)


def test_a_change_of_nothing_is_no_revision(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    appd.ok("scale", "web", "--workers", "1")
    appd.ok("set", "web", "--threads", "1")
    assert len(history(appd)) == 1


def test_a_superseded_change_says_so(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra="import time\ntime.sleep(1)")
    appd.create("web", folder, port).expect(DONE)
    appd.ok("reload", "web", "--no-wait")
    appd.ok("reload", "web")
    assert outcomes(appd)[1:] == ["ReloadApp SUPERSEDED", "ReloadApp SUCCEEDED"]


def test_the_history_is_bounded_and_keeps_the_last_good_ones(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--keepalive", "10").expect(DONE)
    appd.ok("stop", "web")  # what is set while nothing runs has proved nothing
    for i in range(101):
        appd.ok("set", "web", "--keepalive", str(20 + i))
    kept = [int(one["number"]) for one in history(appd)]
    assert kept == [1, *range(4, 104)]
    assert re.search(r"^ *103 .*keepalive 1m59s → 2m", appd.ok("history", "web").stdout, re.MULTILINE)
    appd.ok("rollback", "web")
    assert appd.get("web")["spec"]["keepalive"] == "10s"


def test_deleted_apps_leave_no_history_but_their_audit(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--env", "TOKEN=secret").expect(DONE)
    appd.ok("delete", "web", "--reason", "end of life")
    assert "APP_NOT_FOUND" in appd.ctl("history", "web").expect(FAILED).stderr
    appd.create("web", folder, port).expect(DONE)
    assert [one["method"] for one in history(appd)] == ["CreateApp"]
    with sqlite3.connect(appd.state_dir / "appd.db") as database:
        lines = [text for (text,) in database.execute("SELECT text FROM audit ORDER BY id")]
        assert database.execute("SELECT count(*) FROM revisions").fetchone() == (1,)
    database.close()
    deletion = next(line for line in lines if line.startswith("deleted web by "))
    assert f"uid {os.getuid()} pid " in deletion and "client appctl/" in deletion
    assert deletion.endswith("(end of life)")
    assert not any("secret" in line for line in lines)
