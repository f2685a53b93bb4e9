"""appctl in a shell: completions as bash, zsh and fish make them, manual pages, contexts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.appd import DONE, FAILED, UNREACHABLE, USAGE, Appd
from harness.apps import write_app
from harness.paths import APPCTL
from harness.terminal import Terminal


def run(*command: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
    )


def complete(appd: Appd, *words: str) -> list[str]:
    done = run(str(APPCTL), "__complete", *words, APPD_ADDRESS=appd.address)
    assert done.returncode == DONE and done.stderr == ""
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


def in_bash(appd: Appd, line: str) -> list[str]:
    script = f"""
source <("$APPCTL" completion bash)
COMP_LINE=$1 COMP_POINT=${{#1}}
_appctl
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = run("bash", "-c", script, "bash", line, APPCTL=str(APPCTL), APPD_ADDRESS=appd.address)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_names_come_from_appd(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2", "--env", "TOKEN=x").expect(DONE)
    appd.ok("scale", "web", "--workers", "3")
    assert complete(appd, "reload", "") == ["web"]
    assert complete(appd, "recycle", "web", "") == ["1", "2", "3"]
    assert complete(appd, "set", "web", "--unset-env", "") == ["TOKEN"]
    assert complete(appd, "rollback", "web", "--to", "") == ["2", "1"]
    assert all(name.startswith("operations/") for name in complete(appd, "wait", "operations/"))
    assert complete(appd, "scale", "web", "--worker-cl") == ["--worker-class"]


def test_without_an_appd_the_rest_is_completed(appd: Appd) -> None:
    appd.stop()
    assert complete(appd, "reload", "") == []
    assert complete(appd, "relo") == ["reload"]
    appd.start()


def test_bash(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    appctl = str(APPCTL)
    assert in_bash(appd, f"{appctl} relo") == ["reload"]
    assert in_bash(appd, f"{appctl} reload ") == ["web"]
    assert in_bash(appd, f"{appctl} scale web --worker-class=gt") == ["gthread"], "bash keeps what is before ="
    assert in_bash(appd, f"{appctl} create x --directory {tmp_path}/w") == [f"{tmp_path}/web"]
    assert run("bash", "-n", "-c", run(appctl, "completion", "bash").stdout).returncode == 0


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish here")
def test_fish(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    path = f"{APPCTL.parent}:{os.environ['PATH']}"
    for line, wanted in (("appctl relo", "reload"), ("appctl reload ", "web"), ("appctl get web -o ", "text")):
        script = f"appctl completion fish | source; complete -C '{line}'"
        done = run("fish", "--no-config", "-c", script, PATH=path, APPD_ADDRESS=appd.address, HOME=str(tmp_path))
        assert wanted in [one.split("\t")[0] for one in done.stdout.splitlines()], done


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")
def test_zsh(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    environment = {"PATH": f"{APPCTL.parent}:{os.environ['PATH']}", "APPD_ADDRESS": appd.address, "PS1": "% "}
    terminal = Terminal(["zsh", "-f"], **environment)
    try:
        terminal.wait_for("%")
        terminal.press("autoload -Uz compinit; compinit -u -D; source <(appctl completion zsh); echo rea''dy", "Enter")
        terminal.wait_for("ready")
        terminal.press("appctl relo", "Tab")
        terminal.wait_for("appctl reload")
        terminal.press("w", "Tab")
        terminal.wait_for("appctl reload web")
    finally:
        terminal.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    verbs = [line.split("\t")[0] for line in run(str(APPCTL), "__complete", "").stdout.splitlines()]
    assert "create" in verbs
    pages = {"appctl": run(str(APPCTL), "man").stdout}
    return pages | {f"appctl-{verb}": run(str(APPCTL), "man", verb).stdout for verb in verbs}


@pytest.mark.skipif(shutil.which("man") is None, reason="no man here")
def test_manual_pages_are_without_a_warning(pages: dict[str, str], tmp_path: Path) -> None:
    for name, text in pages.items():
        page = tmp_path / f"{name}.1"
        page.write_text(text)
        shown = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(page), MANWIDTH="80", LC_ALL="C.UTF-8")
        assert shown.returncode == 0 and shown.stderr == "", (name, shown.stderr)
        assert "NAME" in shown.stdout and name in shown.stdout


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="no mandoc here")
def test_mandoc_finds_nothing(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        found = run("mandoc", "-Tlint", "-Wwarning", stdin=text)
        assert found.stdout == "", (name, found.stdout)


def test_a_page_of_no_verb_is_refused() -> None:
    done = run(str(APPCTL), "man", "nonsense")
    assert done.returncode == USAGE and "no verb nonsense" in done.stderr


def test_contexts_name_several_appds(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    config = str(tmp_path / "config")

    def appctl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(str(APPCTL), *arguments, XDG_CONFIG_HOME=config, APPD_ADDRESS="")

    assert appctl("context", "list").stdout.startswith("no contexts")
    added = appctl("context", "add", "here", appd.address)
    assert added.returncode == DONE and "used from now on" in added.stdout
    assert appctl("context", "add", "there", "unix:/nowhere/appd.sock").returncode == DONE
    file = tmp_path / "config" / "appd" / "appctl.toml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "web" in appctl("list").stdout
    assert appctl("--context", "there", "list").returncode == UNREACHABLE
    assert "web" in appctl("list", "--context", "here").stdout
    assert appctl("context", "use", "there").returncode == DONE
    assert appctl("list").returncode == UNREACHABLE
    listed = appctl("context", "list").stdout
    assert ["*", "there"] in [line.split()[:2] for line in listed.splitlines()]
    assert appctl("list", "--address", appd.address).returncode == DONE
    refused = appctl("list", "--address", appd.address, "--context", "here")
    assert refused.returncode == USAGE and "excludes" in refused.stderr
    unknown = appctl("--context", "heree", "list")
    assert unknown.returncode == USAGE and "did you mean 'here'?" in unknown.stderr
    assert appctl("context", "remove", "there").returncode == DONE
    assert appctl("context", "remove", "there").returncode == USAGE
    assert appctl("context", "add", "a/b", "unix:/x").returncode == USAGE
    assert appctl("context", "add", "x", "nonsense").returncode == USAGE
    file.write_text("current = = 3")
    broken = appctl("list")
    assert broken.returncode == USAGE and "line 1" in broken.stderr
    assert appctl("list", "--address", appd.address).returncode == DONE, "the file is not asked"
