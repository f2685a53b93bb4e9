"""Random moments that can be had again: each test prints its seed, and APPD_SEED sets it."""

import os
import random
import signal
import time
from collections.abc import Iterator

# Of the tests that go on as long as they may: scripts/dev faults gives them more.
SECONDS = float(os.environ.get("APPD_FAULT_SECONDS", "5"))


def seeded() -> random.Random:
    seed = int(os.environ.get("APPD_SEED") or random.randrange(1 << 32))
    print(f"APPD_SEED={seed}")
    return random.Random(seed)


def let_pass(seconds: float) -> None:
    """The moment at which a fault strikes is chosen by time: no test waits for anything with this."""
    signal.sigtimedwait([], seconds)


def rounds(seconds: float = SECONDS, at_least: int = 3) -> Iterator[int]:
    """Numbers from 1, for so long."""
    end = time.monotonic() + seconds
    number = 0
    while number < at_least or time.monotonic() < end:
        number += 1
        yield number
