"""Who an app runs as, and what its processes may take."""

import grp
import json
import os
import pwd
import shutil
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from harness import http
from harness.appd import DONE, ROLLED_BACK, USAGE, Appd
from harness.apps import copy_app, write_app
from harness.load import Load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes others")

USER = "www-data"
ENTRY = pwd.getpwnam(USER)
NOGROUP = grp.getgrnam("nogroup").gr_gid


def create(appd: Appd, open_folder: Path, port: int, *more: str) -> None:
    appd.create("web", copy_app("identity", open_folder), port, *more, app="identity:app").expect(DONE)


def ask(port: int, path: str) -> dict[str, Any]:
    return json.loads(http.request(port, path).body)


def test_a_worker_is_its_user_and_nothing_more(appd: Appd, port: int, open_folder: Path) -> None:
    create(appd, open_folder, port, "--user", USER)
    who = ask(port, "/who")
    assert who["uid"] == [ENTRY.pw_uid] * 3
    assert who["gid"] == [ENTRY.pw_gid] * 3
    assert who["groups"] == sorted(os.getgrouplist(USER, ENTRY.pw_gid))
    assert (who["no_new_privs"], int(who["effective"], 16), int(who["bounding"], 16)) == ("1", 0, 0)
    assert (who["home"], who["user"], who["umask"]) == (ENTRY.pw_dir, USER, "0022")
    zygote = Path(f"/proc/{appd.workers('web')[0]['pid']}/status").read_text()
    assert f"Uid:\t{ENTRY.pw_uid}\t" in zygote


def test_a_setuid_program_gives_nothing_unless_that_is_asked_for(appd: Appd, port: int, open_folder: Path) -> None:
    shutil.copy("/usr/bin/id", open_folder / "id")
    (open_folder / "id").chmod(0o4755)
    create(appd, open_folder, port, "--user", USER)
    assert ask(port, "/setuid")["effective"] == str(ENTRY.pw_uid)
    appd.ok("set", "web", "--no-new-privs", "off")
    assert ask(port, "/setuid")["effective"] == "0"


def test_group_umask_and_limits(appd: Appd, port: int, open_folder: Path) -> None:
    os.chown(open_folder, ENTRY.pw_uid, NOGROUP)
    create(
        appd, open_folder, port,
        *("--user", str(ENTRY.pw_uid), "--group", "nogroup", "--umask", "0027"),
        *("--limit-nofile", "300", "--limit-core", "0"),
    )  # fmt: skip
    who = ask(port, "/who")
    assert (who["gid"], who["umask"]) == ([NOGROUP] * 3, "0027")
    assert (who["nofile"], who["core"]) == ([300, 300], [0, 0])
    assert ask(port, "/write") == {"mode": "0o640", "uid": ENTRY.pw_uid}


def test_the_user_changes_by_a_rollout_that_loses_nothing(appd: Appd, port: int, open_folder: Path) -> None:
    appd.create("web", write_app(open_folder), port, "--workers", "2").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=8) as load:
        appd.ok("set", "web", "--user", USER)
    load.assert_nothing_lost()
    pids = appd.ready_pids("web")
    assert {os.stat(f"/proc/{pid}").st_uid for pid in pids} == {ENTRY.pw_uid}


def test_a_unix_socket_belongs_to_the_apps_user(appd: Appd, open_folder: Path) -> None:
    path = appd.runtime_dir / "web.sock"
    arguments = ("--directory", str(write_app(open_folder)), "--app", "wsgi:app", "--bind", f"unix:{path}")
    appd.ok("create", "web", *arguments, "--user", USER, "--unix-socket-mode", "0660")
    assert (path.stat().st_uid, path.stat().st_gid) == (ENTRY.pw_uid, ENTRY.pw_gid)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    appd.ok("set", "web", "--user", "")
    assert path.stat().st_uid == 0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_directory_that_the_user_cannot_read_is_refused_and_said(appd: Appd, port: int, open_folder: Path) -> None:
    appd.create("web", write_app(open_folder), port).expect(DONE)
    open_folder.chmod(0o700)
    refused = appd.ctl("set", "web", "--user", USER).expect(ROLLED_BACK)
    assert "cannot read the app's directory" in refused.output
    assert http.request(port, "/").text == "hello"
    assert appd.get("web")["spec"].get("user", "") == ""


def test_no_such_user(appd: Appd, port: int, open_folder: Path) -> None:
    refused = appd.create("web", write_app(open_folder), port, "--user", "nobody-of-that-name").expect(USAGE)
    assert "--user" in refused.stderr and 'no user "nobody-of-that-name"' in refused.stderr
    refused = appd.create("web", open_folder, port, "--group", "no-such-group").expect(USAGE)
    assert "--group" in refused.stderr
    assert appd.ok("list", "-o", "json").json.get("apps", []) == []


def test_a_command_runs_as_its_user_too(appd: Appd, open_folder: Path) -> None:
    appd.ok("create", "idle", "--command", "sleep 1000", "--directory", str(open_folder), "--user", USER)
    (pid,) = appd.ready_pids("idle")
    assert os.stat(f"/proc/{pid}").st_uid == ENTRY.pw_uid
