"""Values of environment variables: they reach the app, and nothing else."""

import json
import subprocess
from pathlib import Path

import pytest

from harness import http
from harness.appd import CONFLICT, DONE, ROLLED_BACK, USAGE, Appd
from harness.apps import write_app

FIRST, SECOND = "s3cret-of-monday", "s3cret-of-tuesday"


def env(port: int, name: str) -> str:
    return http.request(port, f"/env?name={name}").text


def secret_file(folder: Path, value: str) -> str:
    file = folder / f"{value}.txt"
    file.write_text(value + "\n")
    return str(file)


def create(appd: Appd, port: int, tmp_path: Path, *more: str) -> Path:
    folder = write_app(tmp_path / "web")
    secret = ("--secret-env", f"TOKEN={secret_file(tmp_path, FIRST)}")
    appd.create("web", folder, port, *secret, "--env", "LANG=C.UTF-8", *more).expect(DONE)
    return folder


def all_answers(appd: Appd) -> str:
    """Everything that appctl can be made to say, as text and as JSON."""
    verbs = (
        ("get", "web"), ("list",), ("status",), ("workers", "web"), ("workers", "web", "--dead"), ("operations", "web"),
        ("history", "web"), ("diff", "web"), ("diff", "web", "--from", "1"), ("events", "web"),
        ("events", "--since", "1"), ("logs", "web"), ("version",),
    )  # fmt: skip
    return "".join(appd.ctl(*verb, *form).output for verb in verbs for form in ((), ("-o", "json")))


def test_a_secret_reaches_the_app_and_no_answer_log_or_message(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = create(appd, port, tmp_path)
    assert env(port, "TOKEN") == FIRST, "without the newline at the file's end"
    told = [appd.ok("set", "web", "--secret-env", f"TOKEN={secret_file(tmp_path, SECOND)}", "--threads", "2")]
    assert "env.TOKEN changed" in told[0].stdout
    assert env(port, "TOKEN") == SECOND
    # What fails says so without it.
    write_app(folder, source="import no_such_module")
    told += [
        appd.ctl("set", "web", "--env", f"TOKEN={FIRST}").expect(ROLLED_BACK),
        appd.ctl("reload", "web").expect(ROLLED_BACK),
        appd.ctl("set", "web", "--env", f"TOKEN={FIRST}", "--workers", "0").expect(USAGE),
        appd.ctl("set", "web", "--env", f"9TOKEN={FIRST}").expect(USAGE),
        appd.ctl("set", "web", "--env", f"TOKEN={FIRST}{'x' * 70_000}").expect(USAGE),
        appd.ctl("set", "web", "--env", FIRST).expect(USAGE),
        appd.ctl("set", "web", "--env", f"TOKEN={FIRST}", "--etag", 'W/"1"'),
        appd.create("web", folder, port, "--env", f"TOKEN={FIRST}").expect(CONFLICT),
    ]
    write_app(folder)
    told += [appd.ok("rollback", "web", "--to", "1"), appd.ok("set", "web", "--unset-env", "LANG")]
    assert env(port, "TOKEN") == FIRST, "a rollback brings the value back"
    heard = all_answers(appd) + "".join(one.output for one in told)
    assert heard.count("TOKEN") > 10 and "<redacted>" in heard
    written = "".join((appd.log(), *appd.app_logs().values()))
    for secret in (FIRST, SECOND):
        assert secret not in heard
        assert secret not in written


def test_what_get_prints_can_be_applied_and_keeps_the_values(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, port, tmp_path)
    shown = appd.ok("get", "web", "-o", "json").stdout
    assert json.loads(shown)["spec"]["env"] == {"TOKEN": "<redacted>", "LANG": "<redacted>"}
    before = appd.ready_pids("web")
    assert appd.ctl("apply", "-f", "-", stdin=shown).expect(DONE).stdout == "web: unchanged\n"
    edited = json.loads(shown)
    edited["spec"]["workers"] = 2
    edited["spec"]["env"]["LANG"] = "C"
    edited = json.dumps(edited)
    dry = appd.ctl("apply", "--dry-run", "-f", "-", stdin=edited).expect(DONE).stdout
    assert dry == "web: would be changed\n  ~ workers: 1 → 2\n  ~ env.LANG: changed\n"
    appd.ctl("apply", "-f", "-", stdin=edited).expect(DONE)
    assert (env(port, "TOKEN"), env(port, "LANG")) == (FIRST, "C")
    assert appd.ready_pids("web").isdisjoint(before), "another value is another rollout"


@pytest.mark.parametrize("app", ["web", "other"])
def test_the_word_that_stands_for_a_value_is_none(appd: Appd, port: int, tmp_path: Path, app: str) -> None:
    create(appd, port, tmp_path)
    before = appd.get("web")
    shown = json.loads(appd.ok("get", "web", "-o", "json").stdout)
    shown["name"] = f"apps/{app}"
    shown["spec"]["bind"] = ["127.0.0.1:1"]
    shown["spec"]["env"]["NEW"] = "<redacted>"
    refused = appd.ctl("apply", "-f", "-", stdin=json.dumps(shown)).expect(USAGE)
    assert "there is none to keep" in refused.stderr
    assert appd.get("web") == before
    assert len(appd.apps()) == 1


def test_a_manifest_names_files_of_secrets(appd: Appd, port: int, tmp_path: Path) -> None:
    write_app(tmp_path / "web")
    secret_file(tmp_path, FIRST)
    manifest = tmp_path / "apps.toml"
    manifest.write_text(
        f"""[apps.web]
directory = "web"
app = "wsgi:app"
bind = ["127.0.0.1:{port}"]
env = {{LANG = "C"}}
secret_env = {{TOKEN = "{FIRST}.txt"}}
"""
    )
    appd.ok("apply", "-f", str(manifest))
    assert env(port, "TOKEN") == FIRST
    assert appd.ok("apply", "-f", str(manifest)).stdout == "web: unchanged\n"
    secret_file(tmp_path, FIRST)
    (tmp_path / f"{FIRST}.txt").write_text(SECOND)
    dry = appd.ok("apply", "-f", str(manifest), "--dry-run").stdout
    assert dry == "web: would be changed\n  ~ env.TOKEN: changed\n"
    (tmp_path / f"{FIRST}.txt").unlink()
    refused = appd.ctl("apply", "-f", str(manifest)).expect(USAGE)
    assert "secret_env: TOKEN: cannot read" in refused.stderr and "nothing was changed" in refused.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("TOKEN=/nowhere", "TOKEN: cannot read /nowhere: No such file"),
        ("TOKEN=/dev/null", "TOKEN: /dev/null is empty"),
        ("TOKEN=", "needs NAME=FILE"),
        (FIRST, "needs NAME=FILE"),
        ("LANG=/etc/hostname", "LANG is given twice"),
    ],
)
def test_wrong_files_of_secrets_are_refused(appd: Appd, port: int, tmp_path: Path, given: str, told: str) -> None:
    create(appd, port, tmp_path)
    refused = appd.ctl("set", "web", "--env", "LANG=C", "--secret-env", given).expect(USAGE)
    assert told in refused.stderr
    assert FIRST not in refused.output
    assert len(appd.ok("history", "web", "-o", "json").json["revisions"]) == 1


def test_a_secret_may_come_from_stdin(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, port, tmp_path)
    appd.ctl("set", "web", "--secret-env", "TOKEN=/dev/stdin", stdin=SECOND).expect(DONE)
    assert env(port, "TOKEN") == SECOND


def test_only_its_user_may_read_where_secrets_are_kept(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, port, tmp_path)
    keeping = [file for file in appd.state_dir.rglob("*") if file.is_file() and FIRST.encode() in file.read_bytes()]
    assert keeping, "the state"
    for file in keeping:
        assert file.stat().st_mode & 0o077 == 0, file


def test_no_list_of_processes_has_a_secret(appd: Appd, port: int, tmp_path: Path) -> None:
    create(appd, port, tmp_path, "--workers", "2")
    assert len(appd.wait_ready("web", 2)) == 2
    listed = subprocess.run(["ps", "-axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert "web" in listed
    assert FIRST not in listed.replace(f"{FIRST}.txt", "")
