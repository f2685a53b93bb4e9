"""The one place that polls, for what no event tells of. Everything else blocks on the event itself."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL = 0.01


def wait_until(condition: Callable[[], T], what: str, timeout: float = 10.0) -> T:
    """The first true value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(INTERVAL)


def stands_still(measure: Callable[[], int]) -> Callable[[], bool]:
    """Whether a figure above zero has been the same ten times in a row."""
    seen: list[int] = []

    def same() -> bool:
        seen.append(measure())
        return len(seen) >= 10 and seen[-1] > 0 and len(set(seen[-10:])) == 1

    return same
