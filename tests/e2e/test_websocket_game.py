"""examples/websocket_game in a real browser: two windows that play each other, and a reload between two moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.appd import DONE, Appd
from harness.apps import copy_example
from harness.browser import Browser, Page

SAYS = "document.getElementById('status').textContent === {!r}"
REDS_TURN = SAYS.format("It is Red's turn.")
MY_TURN = SAYS.format("It is your turn.")


@pytest.fixture
def game(appd: Appd, port: int, tmp_path: Path) -> str:
    folder = copy_example("websocket_game", tmp_path / "game")
    appd.create("game", folder, port, "--ws-drain-timeout", "1s", app="app:app").expect(DONE)
    return f"http://127.0.0.1:{port}/#a-game"


@pytest.fixture
def browser(game: str, tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path) as browser:
        yield browser


def drop(page: Page, column: int) -> None:
    page.wait_for(MY_TURN)
    page.click(f".column:nth-child({column + 1})")
    page.wait_for(f"!({MY_TURN})")


def disc(column: int, row: int, color: str) -> str:
    return f"document.querySelector('[data-cell=\"{column}-{row}\"] .disc.{color}') !== null"


def test_two_windows_play_and_a_reload_does_not_end_the_game(game: str, browser: Browser, appd: Appd) -> None:
    red = browser.open(game)
    red.wait_for(SAYS.format("Waiting for somebody to play with."))
    yellow = browser.open(game)
    yellow.wait_for(REDS_TURN)
    assert red.wait_for("document.body.dataset.you") == "red"
    assert yellow.evaluate("document.body.dataset.you") == "yellow"

    drop(red, 3)
    yellow.wait_for(disc(3, 0, "red"))
    drop(yellow, 3)
    red.wait_for(disc(3, 1, "yellow"))

    # New code: both windows are sent away with 1012, come back by themselves, and see the board as it was.
    before = appd.ready_pids("game")
    appd.ok("reload", "game")
    assert appd.ready_pids("game").isdisjoint(before)
    for page in (red, yellow):
        page.wait_for("document.body.dataset.closed === '1012'")
    yellow.wait_for(REDS_TURN)
    for column in (2, 4):
        drop(red, column)
        yellow.wait_for(disc(column, 0, "red"))
        drop(yellow, column)
        red.wait_for(disc(column, 1, "yellow"))
    drop_last(red, 5)
    red.wait_for(SAYS.format("You have won!"))
    yellow.wait_for(SAYS.format("Red has won."))
    assert red.evaluate("document.querySelectorAll('.disc.winning').length") == 4
    red.click("#again")
    yellow.wait_for("document.querySelectorAll('.disc').length === 0")


def drop_last(page: Page, column: int) -> None:
    page.wait_for(MY_TURN)
    page.click(f".column:nth-child({column + 1})")


def test_third_window_watches(game: str, browser: Browser) -> None:
    red, yellow, third = (browser.open(game) for _ in range(3))
    for page in (red, yellow, third):
        page.wait_for("document.body.dataset.you")
    assert sorted(page.evaluate("document.body.dataset.you") for page in (red, yellow, third)) == ["red", "watching", "yellow"]
