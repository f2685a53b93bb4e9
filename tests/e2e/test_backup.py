"""backup and restore of the state, while appd runs and serves."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from harness import http
from harness.appd import CONFLICT, DONE, FAILED, USAGE, Appd
from harness.apps import write_app
from harness.load import Load
from harness.ports import free_port


def history(appd: Appd, name: str) -> list[str]:
    return [one["method"] for one in appd.ok("history", name, "-o", "json").json["revisions"]]


def two_apps(appd: Appd, port: int, tmp_path: Path) -> int:
    other = free_port()
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--env", "TOKEN=s3cret", "--workers", "2").expect(DONE)
    appd.ok("scale", "web", "--workers", "3")
    appd.create("asleep", folder, other).expect(DONE)
    appd.ok("stop", "asleep")
    return other


def parts_of(backup: Path) -> list[dict[str, Any]]:
    """Of each app in it: its spec, and that of its newest revision."""
    with closing(sqlite3.connect(backup)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = database.execute(
            "SELECT a.spec, r.spec FROM apps AS a"
            " LEFT JOIN revisions AS r ON r.app = a.id AND r.number = a.revision"
        ).fetchall()
    assert len(rows) == 2
    return [{"spec": spec, "newest": newest} for spec, newest in rows]


def delete_all(appd: Appd) -> None:
    for app in appd.apps():
        appd.ok("delete", app["name"].removeprefix("apps/"))


def test_what_was_deleted_comes_back_with_its_history_and_its_secrets(appd: Appd, port: int, tmp_path: Path) -> None:
    two_apps(appd, port, tmp_path)
    file = tmp_path / "backup.db"
    with Load(f"http://127.0.0.1:{port}/", connections=8) as load:
        made = appd.ok("backup", str(file))
    load.assert_nothing_lost()
    assert made.stdout.startswith(f"{file}: 2 apps, ")
    assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.glob("backup.db*")) == ["backup.db"]
    before = {app["name"]: app["spec"] for app in appd.apps()}
    delete_all(appd)
    dry = appd.ok("restore", str(file), "--dry-run")
    assert dry.stdout == "asleep: would be restored\nweb: would be restored\n"
    assert appd.apps() == []
    done = appd.ok("restore", str(file), "--reason", "a slip of the hand")
    assert "web: restored, 3 workers ready" in done.stdout
    assert {app["name"]: app["spec"] for app in appd.apps()} == before
    assert http.request(port, "/env?name=TOKEN").text == "s3cret"
    assert len(appd.ready_pids("web")) == 3
    assert appd.observed("asleep")["state"] == "STOPPED"
    assert history(appd, "web") == ["RestoreState", "ScaleApp", "CreateApp"]
    assert "s3cret" not in made.output + done.output + appd.log()
    # And so it is after another start.
    appd.kill9()
    appd.start()
    appd.wait_ready("web", 3)
    assert history(appd, "web") == ["RestoreState", "ScaleApp", "CreateApp"]
    appd.ok("rollback", "web", "--to", "1")
    assert len(appd.wait_ready("web", 2)) == 2
    assert not list(appd.state_dir.glob("restore.db*"))


def test_an_app_that_is_there_is_a_conflict_and_nothing_happens(appd: Appd, port: int, tmp_path: Path) -> None:
    two_apps(appd, port, tmp_path)
    file = tmp_path / "backup.db"
    appd.ok("backup", str(file))
    appd.ok("delete", "asleep")
    before = (appd.get("web"), appd.ready_pids("web"))
    refused = appd.ctl("restore", str(file)).expect(CONFLICT)
    assert "there already: web" in refused.stderr and "nothing was restored" in refused.stderr
    assert "appctl delete" in refused.stderr and "appctl set" not in refused.stderr, "what to do here"
    assert (appd.get("web"), appd.ready_pids("web")) == before
    assert [app["name"] for app in appd.apps()] == ["apps/web"]


def test_all_or_nothing_when_the_host_is_not_fit(appd: Appd, port: int, tmp_path: Path) -> None:
    other = two_apps(appd, port, tmp_path)
    lost = write_app(tmp_path / "lost")
    appd.create("lost", lost, free_port()).expect(DONE)
    file = tmp_path / "backup.db"
    appd.ok("backup", str(file))
    delete_all(appd)
    lost.rename(tmp_path / "elsewhere")
    refused = appd.ctl("restore", str(file)).expect(USAGE)
    assert f"lost: spec.directory: {lost}: No such file or directory" in refused.stderr
    assert appd.apps() == []
    assert http.refused(port) and http.refused(other)
    (tmp_path / "elsewhere").rename(lost)
    appd.ok("restore", str(file))
    assert len(appd.apps()) == 3


def test_files_that_are_no_backup_are_refused(appd: Appd, port: int, tmp_path: Path) -> None:
    two_apps(appd, port, tmp_path)
    good = tmp_path / "backup.db"
    appd.ok("backup", str(good))
    delete_all(appd)
    newer = tmp_path / "newer.db"
    newer.write_bytes(good.read_bytes())
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 999")
    broken = tmp_path / "broken.db"
    content = bytearray(good.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    broken.write_bytes(content)
    in_use = appd.state_dir / "appd.db"
    cut = tmp_path / "cut.db"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE t (x)")
    empty = tmp_path / "empty.db"
    empty.touch()
    for file in (newer, broken, cut, foreign, empty, tmp_path, tmp_path / "nowhere.db", Path("/dev/null"), in_use):
        refused = appd.ctl("restore", str(file)).expect(FAILED)
        assert "BACKUP_UNUSABLE" in refused.stderr and str(file) in refused.stderr, refused.stderr
        assert "restore.db" not in refused.stderr
    assert "schema 999" in appd.ctl("restore", str(newer)).stderr
    assert appd.apps() == []
    assert newer.read_bytes()[:16] == b"SQLite format 3\0", "it is as it was"


def test_a_host_that_was_lost_comes_back_from_a_backup_made_while_it_changed(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    two_apps(appd, port, tmp_path)
    rounds = 12
    taken: list[Path] = []

    def change() -> None:
        for number in range(rounds):
            appd.ok("set", "web", "--env", f"ROUND={number}", "--timeout", f"{40 + number}s", "--no-wait")

    changing = threading.Thread(target=change)
    changing.start()
    while changing.is_alive() and len(taken) < 20:
        taken.append(tmp_path / f"{len(taken)}.db")
        appd.ok("backup", str(taken[-1]))
    changing.join()
    for file in taken:
        assert [one for one in parts_of(file) if one["spec"] != one["newest"]] == [], "an app and its history agree"
    last = tmp_path / "last.db"
    appd.ok("backup", str(last))
    appd.reboot()
    shutil.rmtree(appd.state_dir)
    appd.start()
    assert appd.apps() == []
    appd.ok("restore", str(taken[-1]), "--dry-run")
    appd.ok("restore", str(last))
    assert http.request(port, "/env?name=TOKEN").text == "s3cret"
    assert http.request(port, "/env?name=ROUND").text == str(rounds - 1)
    outcomes = [one["outcome"] for one in appd.ok("history", "web", "-o", "json").json["revisions"]]
    assert len(outcomes) == rounds + 3
    assert set(outcomes) <= {"SUCCEEDED", "SUPERSEDED"}, "nothing of before is still at work"


def test_a_repeated_restore_is_one(appd: Appd, port: int, tmp_path: Path) -> None:
    two_apps(appd, port, tmp_path)
    file = tmp_path / "backup.db"
    appd.ok("backup", str(file))
    delete_all(appd)
    same = ("--request-id", "7f0c0f0e-4d0b-4b5e-9d53-1d1f7a3f2b11")
    for _ in range(2):
        appd.ok("restore", str(file), *same)
    assert history(appd, "web").count("RestoreState") == 1


def test_a_backup_replaces_no_file_and_says_where_it_cannot_be(appd: Appd, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    file.write_text("precious")
    assert "File exists" in appd.ctl("backup", str(file)).expect(FAILED).stderr
    assert file.read_text() == "precious"
    assert "No such file" in appd.ctl("backup", str(tmp_path / "no" / "x.db")).expect(FAILED).stderr
    assert [one.name for one in tmp_path.glob("*.db*")] == ["backup.db"]
    appd.ctl("backup").expect(USAGE)
