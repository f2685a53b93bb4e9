"""Tokens: made, shown once, limited, expired, revoked; and what they cannot do."""

import subprocess
from pathlib import Path

import pytest

from harness.appd import CONFLICT, DONE, FAILED, USAGE, Appd
from harness.apps import write_app
from harness.caller import Caller, hidden_in, token_of
from harness.certificates import Authority
from harness.ports import free_port


class Far:
    """An appd with an entrance on TCP that asks for no certificate."""

    def __init__(self, appd: Appd, folder: Path) -> None:
        hosts = Authority(folder / "hosts")
        own = hosts.issue_for_server()
        self.appd = appd
        self.address = f"127.0.0.1:{free_port()}"
        self.ca = hosts.cert
        self.listen = ("--listen", f"{self.address},cert={own.cert},key={own.key}")

    def start(self, *more: str) -> "Far":
        self.appd.start(*self.listen, *more)
        return self

    def caller(self, token: str = "") -> Caller:
        return Caller(self.address, "--ca", str(self.ca), token=token)

    def token(self, name: str, role: str, *more: str) -> str:
        return token_of(self.appd.ok("token", "create", name, "--role", role, *more))


@pytest.fixture
def far(idle_appd: Appd, tmp_path: Path) -> Far:
    return Far(idle_appd, tmp_path)


def two_apps(appd: Appd, folder: Path) -> None:
    for name in ("web", "shop"):
        appd.create(name, write_app(folder / name), free_port()).expect(DONE)


def test_a_token_does_what_its_role_does_for_its_apps(far: Far, tmp_path: Path) -> None:
    two_apps(far.start().appd, tmp_path)
    ci = far.caller(far.token("ci", "deployer", "--app", "web", "--expires", "30d"))
    ci("scale", "web", "--workers", "2").expect(DONE)
    ci("reload", "web").expect(DONE)
    for denied in (ci("scale", "shop", "--workers", "2"), ci("logs", "shop"), ci("history", "shop"), ci("events", "shop")):
        assert "APP_NOT_ALLOWED" in denied.expect(FAILED).stderr
    assert "about all apps" in ci("reopen-logs").expect(FAILED).stderr
    for denied in (ci("stop", "web"), ci("token", "list"), ci("token", "create", "more", "--role", "admin")):
        assert "ROLE_TOO_LOW" in denied.expect(FAILED).stderr
    # What is about all apps shows those of the token.
    assert "shop" not in ci("status").expect(DONE).stdout
    assert {one["name"].split("/")[1] for one in ci("workers", "-o", "json").expect(DONE).json["workers"]} == {"web"}
    assert {one["app"] for one in ci("operations", "-o", "json").expect(DONE).json["operations"]} == {"apps/web"}
    assert "shop" not in ci("events", "-o", "json").expect(DONE).stdout
    ci("logs", "web").expect(DONE)

    caller = far.appd.ok("history", "web", "-o", "json").json["revisions"][0]["caller"]
    assert caller["identity"] == "token ci" and caller["address"].startswith("127.0.0.1:")
    assert far.appd.get("shop")["generation"] == "1"


def test_who_shows_no_token_or_a_wrong_one_learns_nothing(far: Far, tmp_path: Path) -> None:
    far.start()
    nobody = far.caller()("list").expect(FAILED)
    assert "CREDENTIALS_MISSING" in nobody.stderr and "--token-file" in nobody.stderr
    wrong = far.caller("appd_" + "A" * 43)("list").expect(FAILED)
    assert "TOKEN_UNKNOWN" in wrong.stderr
    file = tmp_path / "token"
    file.write_text(far.token("look", "viewer") + "\n")
    Caller(far.address, "--ca", str(far.ca), "--token-file", str(file))("list").expect(DONE)
    empty = Caller(far.address, "--ca", str(far.ca), "--token-file", "/dev/null")("list").expect(USAGE)
    assert "holds no token" in empty.stderr


def test_a_token_expires_and_what_runs_with_it_ends(far: Far) -> None:
    far.start()
    brief = far.caller(far.token("brief", "viewer", "--expires", "2s"))
    _, said = brief.follow("events", "-f").communicate(timeout=60)  # ends by itself
    assert "TOKEN_EXPIRED" in said
    assert "TOKEN_EXPIRED" in brief("list").expect(FAILED).stderr
    assert "expired" in far.appd.ok("token", "list").stdout


def test_a_token_is_revoked_and_what_runs_with_it_ends(far: Far, tmp_path: Path) -> None:
    two_apps(far.start().appd, tmp_path)
    secret = far.token("ci", "viewer")
    ci = far.caller(secret)
    other = far.caller(far.token("other", "viewer")).follow("events", "-f", "-o", "json")
    following = [ci.follow("events", "-f", "-o", "json"), ci.follow("logs", "web", "-f")]
    first = following[0].stdout
    assert first is not None and other.stdout is not None
    while "synced" not in first.readline():
        pass
    while "synced" not in other.stdout.readline():
        pass
    far.appd.ok("token", "revoke", "ci", "--reason", "left the company")
    for one in following:
        _, said = one.communicate(timeout=60)
        assert "TOKEN_UNKNOWN" in said, said
    assert "TOKEN_UNKNOWN" in ci("list").expect(FAILED).stderr
    assert other.poll() is None
    other.terminate()
    other.communicate(timeout=30)
    # The same name is another token.
    far.token("ci", "viewer")
    assert "TOKEN_UNKNOWN" in ci("list").expect(FAILED).stderr


def test_a_secret_is_nowhere_but_with_its_owner(far: Far, tmp_path: Path) -> None:
    far.start("--log-level", "trace")
    made = far.appd.ok("token", "create", "ci", "--role", "admin", "--reason", "nightly")
    secret = token_of(made)
    assert secret not in made.stderr and "shown this once" in made.stderr
    far.caller(secret)("status").expect(DONE)
    far.caller(secret[:-1] + "_")("status").expect(FAILED)
    far.appd.ok("token", "revoke", "ci")
    assert secret not in far.appd.ok("token", "list", "-o", "json").stdout
    far.appd.stop()
    assert hidden_in(far.appd.state_dir, secret) == [] and hidden_in(far.appd.runtime_dir, secret) == []
    assert secret[5:20] not in far.appd.log()
    query = "SELECT group_concat(text, char(10)) FROM audit"
    audit = subprocess.run(
        ["python3", "-c", f"import sqlite3,sys;print(sqlite3.connect(sys.argv[1]).execute('{query}').fetchone()[0])", str(far.appd.state_dir / "appd.db")],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "created token ci admin by uid " in audit and "(nightly)" in audit and "revoked token ci by uid " in audit


def test_tokens_outlive_appd(far: Far) -> None:
    far.start()
    ci = far.caller(far.token("ci", "viewer"))
    far.appd.kill9()
    far.start()
    ci("list").expect(DONE)


def test_on_a_unix_socket_a_token_narrows_what_the_file_allows(far: Far, tmp_path: Path) -> None:
    view = far.appd.runtime_dir / "view"
    two_apps(far.start("--listen", f"unix:{view},role=viewer").appd, tmp_path)
    ci, root = far.token("ci", "deployer", "--app", "web"), far.token("root", "admin")
    here = Caller(far.appd.address, token=ci)
    here("scale", "web", "--workers", "2").expect(DONE)
    assert "ROLE_TOO_LOW" in here("stop", "web").expect(FAILED).stderr
    assert far.appd.ok("history", "web", "-o", "json").json["revisions"][0]["caller"]["identity"] == "token ci"
    there = Caller(f"unix:{view}", token=root)
    there("list").expect(DONE)
    assert "token root is a viewer here" in there("stop", "web").expect(FAILED).stderr


def test_what_cannot_be_a_token_is_said(appd: Appd) -> None:
    appd.ok("token", "create", "ci", "--role", "viewer")
    assert "TOKEN_EXISTS" in appd.ctl("token", "create", "ci", "--role", "viewer").expect(CONFLICT).stderr
    limited = appd.ctl("token", "create", "boss", "--role", "admin", "--app", "web").expect(USAGE)
    assert "no limit to apps would hold" in limited.stderr
    assert "token_id" in appd.ctl("token", "create", "C I", "--role", "viewer").expect(USAGE).stderr
    assert "--role" in appd.ctl("token", "create", "x").expect(USAGE).stderr
    assert "create, list, revoke" in appd.ctl("token").expect(USAGE).stderr
    assert "TOKEN_NOT_FOUND" in appd.ctl("token", "revoke", "none").expect(FAILED).stderr


def test_a_repeated_request_makes_the_secret_anew_and_a_repeated_revocation_is_one(appd: Appd) -> None:
    again = ("--request-id", "00000000-0000-4000-8000-000000000001")
    first = token_of(appd.ok("token", "create", "ci", "--role", "viewer", *again))
    second = token_of(appd.ok("token", "create", "ci", "--role", "viewer", *again))
    assert first != second
    assert "TOKEN_UNKNOWN" in Caller(appd.address, token=first)("list").expect(FAILED).stderr
    Caller(appd.address, token=second)("list").expect(DONE)
    once = ("--request-id", "00000000-0000-4000-8000-000000000002")
    for _ in range(2):
        appd.ok("token", "revoke", "ci", *once)


def test_a_caller_who_changes_too_much_too_fast_is_held_up_and_others_are_not(idle_appd: Appd, tmp_path: Path) -> None:
    idle_appd.start("--change-rate", "0.001")  # a hundredth of a change at once: none
    refused = idle_appd.ctl("token", "create", "ci", "--role", "viewer").expect(FAILED)
    assert "RATE_LIMITED" in refused.stderr and "--change-rate" in refused.stderr
    idle_appd.ok("list")
