"""Who may do what: sockets of the API with roles, and files whose owner and mode are the permission."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from harness.appd import DONE, FAILED, UNREACHABLE, Appd, Outcome
from harness.apps import write_app
from harness.foreign import Foreign, refused
from harness.paths import APPCTL, APPD
from harness.ports import free_port

NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for others")


def ask(socket: Path, *arguments: str) -> Outcome:
    command = [str(APPCTL), "--address", f"unix:{socket}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return Outcome(arguments, done.returncode, done.stdout, done.stderr)


def list_as_nobody(binary: Path, socket: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(binary), "--address", f"unix:{socket}", "list"],
        capture_output=True, text=True, timeout=60, user=NOBODY.pw_uid, group=NOBODY.pw_gid, extra_groups=[], cwd="/",
    )  # fmt: skip


def test_a_viewer_looks_and_a_deployer_deploys(idle_appd: Appd, open_folder: Path, tmp_path: Path) -> None:
    view, deploy = open_folder / "view", open_folder / "deploy"
    appd = idle_appd.start("--listen", f"unix:{view},role=viewer", "--listen", f"unix:{deploy},role=deployer")
    appd.create("web", write_app(tmp_path / "web"), free_port()).expect(DONE)

    for look in (["status"], ["get", "web"], ["workers", "web"], ["history", "web"], ["logs", "web"], ["events"]):
        ask(view, *look).expect(DONE)
    for change in (["scale", "web", "--workers", "2"], ["reload", "web"], ["rollback", "web"], ["stacks", "web"]):
        denied = ask(view, *change).expect(FAILED)
        assert "needs the role deployer" in denied.stderr and "a viewer" in denied.stderr, change
    ask(deploy, "scale", "web", "--workers", "2").expect(DONE)
    ask(deploy, "reload", "web").expect(DONE)
    for change in (["set", "web", "--env", "A=1"], ["stop", "web"], ["delete", "web"]):
        denied = ask(deploy, *change).expect(FAILED)
        assert "needs the role admin" in denied.stderr, change

    app = appd.get("web")
    assert (app["spec"]["workers"], app["spec"].get("env", {}), app["generation"]) == (2, {}, "2")


def test_a_role_is_asked_for_before_a_message_is_looked_at(idle_appd: Appd, open_folder: Path) -> None:
    """Who may not call learns nothing from what a call would be answered."""
    view = open_folder / "view"
    idle_appd.start("--listen", f"unix:{view},role=viewer")
    with Foreign(f"unix:{view}") as viewer:
        call = viewer.channel.unary_unary(
            "/appd.v1.Apps/DeleteApp", request_serializer=bytes, response_deserializer=bytes
        )
        for message in (b"\xff", b"\x0a" + bytes(2 << 20)):
            assert refused(call, message).reason == "ROLE_TOO_LOW"


@needs_root
def test_the_files_mode_and_owner_are_the_permission(idle_appd: Appd, open_folder: Path) -> None:
    mine, theirs = open_folder / "mine", open_folder / "theirs"
    listen = ("--listen", f"unix:{mine}", "--listen", f"unix:{theirs},role=viewer,mode=0660,group={NOBODY.pw_gid}")
    idle_appd.start(*listen)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (mine, theirs)] == [0o600, 0o660]
    assert (theirs.stat().st_uid, theirs.stat().st_gid) == (0, NOBODY.pw_gid)
    binary = open_folder / "appctl"  # the tester's own folders are closed to others
    shutil.copy(APPCTL, binary)
    refused = list_as_nobody(binary, mine)
    assert refused.returncode == UNREACHABLE and "permission denied" in refused.stderr
    assert list_as_nobody(binary, theirs).returncode == DONE


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("127.0.0.1:7070", "ssh -L"),
        ("unix:/tmp/appd-e2e-x,role=boss", "viewer, deployer or admin"),
        ("unix:/tmp/appd-e2e-x,mode=999", "mode=0660"),
        ("unix:/tmp/appd-e2e-x,group=no-such-group", 'no group "no-such-group"'),
    ],
)
def test_an_address_that_is_wrong_ends_appd_with_the_reason(idle_appd: Appd, listen: str, why: str) -> None:
    command = [str(APPD), "--state-dir", str(idle_appd.state_dir), "--runtime-dir", str(idle_appd.runtime_dir)]
    done = subprocess.run([*command, "--listen", listen], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.count("appd: ") == 1 and why in done.stderr
    assert not Path("/tmp/appd-e2e-x").exists()
