"""appctl top: seen in a terminal, driven by keys, and as one table for pipes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import http
from harness.appd import DONE, FAILED, UNREACHABLE, USAGE, Appd
from harness.apps import write_app
from harness.paths import APPCTL
from harness.terminal import Terminal
from harness.waiting import wait_until


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for one in opened:
        one.close()


def top(appd: Appd, terminals: list[Terminal], *more: str, **size_and_environment: object) -> Terminal:
    command = [str(APPCTL), "--address", appd.address, "top", "--interval", "100ms", *more]
    terminals.append(Terminal(command, **size_and_environment))  # type: ignore[arg-type]
    return terminals[-1]


def row(screen: str, first: str) -> list[str]:
    return next((line.split() for line in screen.splitlines() if line.split()[:1] == [first]), [])


def test_shows_apps_and_their_workers_and_quits(appd: Appd, port: int, tmp_path: Path, terminals: list[Terminal]) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2", "--threads", "3").expect(DONE)
    terminal = top(appd, terminals)
    shown = terminal.wait_for("req/s")
    assert "1 app, 2 workers" in shown.splitlines()[0]
    assert row(shown, "web")[1:5] == ["active", "gthread", "2/2", "3"]
    assert "q quit" in shown.splitlines()[-1]
    terminal.press("w")
    shown = terminal.wait_for("pid")
    assert {int(line.split()[2]) for line in shown.splitlines() if " pid " in line} == appd.ready_pids("web")
    terminal.press("h")
    terminal.wait_for("one worker more, or fewer")
    terminal.press("x")
    terminal.wait_for("WORKERS")
    terminal.press("q")
    assert "req/s" not in terminal.wait_for("exit=0"), "the screen is as it was before"


def test_keys_scale_and_reload_what_is_selected(
    appd: Appd, port: int, tmp_path: Path, terminals: list[Terminal]
) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    appd.ok("create", "a-tool", "--directory", str(tmp_path), "--command", "sleep 1000")
    terminal = top(appd, terminals)
    terminal.wait_for("web")
    terminal.press("Down")
    terminal.press("+")
    terminal.press("+")
    terminal.wait_for("web: scale done, 3 workers ready")
    wait_until(lambda: "3/3" in row(terminal.screen(), "web"), "the table shows three")
    terminal.press("-")
    wait_until(lambda: "2/2" in row(terminal.screen(), "web"), "the table shows two")
    before = appd.ready_pids("web")
    terminal.press("r")
    terminal.wait_for("web: reload done, 2 workers ready")
    assert appd.ready_pids("web").isdisjoint(before)
    write_app(folder, source="import no_such_module")
    terminal.press("r")
    terminal.wait_for("web: rolled back")
    assert http.request(port).status == 200
    last = appd.ok("history", "web", "-o", "json").json["revisions"]
    assert {one["reason"] for one in last if one["method"] == "ScaleApp"} == {"appctl top"}
    assert [worker["state"] for worker in appd.workers("a-tool")] == ["READY"]


def test_a_refusal_is_told_and_nothing_below_one(
    appd: Appd, port: int, tmp_path: Path, terminals: list[Terminal]
) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    terminal = top(appd, terminals)
    terminal.wait_for("web")
    terminal.press("-")
    terminal.wait_for("web has one worker, the fewest there can be")
    appd.ok("stop", "web")
    wait_until(lambda: "stopped" in row(terminal.screen(), "web"), "it is seen as stopped")
    terminal.press("r")
    terminal.wait_for("web: refused")
    appd.ok("delete", "web")
    terminal.wait_for("no apps")


def test_follows_the_size_of_the_terminal(appd: Appd, port: int, tmp_path: Path, terminals: list[Terminal]) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    terminal = top(appd, terminals, width=130)
    terminal.wait_for("THREADS")
    terminal.resize(60, 8)
    wait_until(lambda: "THREADS" not in terminal.screen(), "the narrow one has fewer columns")
    shown = terminal.wait_for("WORKERS")
    assert row(shown, "web")[1] == "active"
    terminal.resize(20, 3)
    terminal.wait_for("APP")
    terminal.resize(130, 24)
    terminal.wait_for("THREADS")


def test_outlives_an_appd_that_is_restarted(appd: Appd, port: int, tmp_path: Path, terminals: list[Terminal]) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    terminal = top(appd, terminals)
    terminal.wait_for("req/s")
    appd.kill9()
    terminal.wait_for("no connection to appd")
    assert row(terminal.screen(), "web"), "the last figures stay"
    appd.start()
    terminal.wait_for("req/s")


def test_colours_only_where_they_are_wanted(appd: Appd, port: int, tmp_path: Path, terminals: list[Terminal]) -> None:
    appd.create("web", write_app(tmp_path / "web", source="import no_such_module"), port).expect(FAILED)
    red = "\x1b[31m"
    terminal = top(appd, terminals)
    terminal.wait_for("failing")
    assert red in terminal.screen(colours=True)
    plain = top(appd, terminals, NO_COLOR="1")
    plain.wait_for("failing")
    assert red not in plain.screen(colours=True)


def test_a_pipe_gets_one_table(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    lines = appd.ok("top", "--workers").stdout.splitlines()
    assert len(lines) == 4 and "\x1b" not in "".join(lines)
    assert lines[1].split()[0] == "APP"
    assert lines[2].split()[:4] == ["web", "active", "sync", "1/1"]
    assert lines[3].split()[1] == "pid"
    told = appd.ok("top", "web", "-o", "json").json
    assert [app["name"] for app in told["apps"]] == ["apps/web"]
    assert "over" in told, "rates are of some time"
    assert "APP_NOT_FOUND" in appd.ctl("top", "nowhere").expect(FAILED).stderr
    appd.ctl("top", "--sort", "nonsense").expect(USAGE)
    appd.ctl("top", "--interval", "nonsense").expect(USAGE)


def test_an_unknown_terminal_and_an_absent_appd_are_told(appd: Appd, terminals: list[Terminal]) -> None:
    strange = top(appd, terminals, TERM="no-such-terminal")
    strange.wait_for("--batch")
    strange.wait_for("exit=2")
    dumb = top(appd, terminals, TERM="dumb")
    assert dumb.wait_for("exit=0").splitlines()[1].startswith("APP "), "one table, as for a pipe"
    appd.stop()
    absent = top(appd, terminals)
    absent.wait_for("cannot reach appd")
    absent.wait_for(f"exit={UNREACHABLE}")
    appd.start()
