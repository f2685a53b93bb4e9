"""The soak for a minute; scripts/dev soak has it for longer."""

from pathlib import Path

import pytest

from harness.appd import Appd
from moments import seeded
from soak import Soak, render

SECONDS = 45.0  # with what comes before and after, a minute


@pytest.mark.slow
def test_a_minute_of_everything_loses_nothing_without_an_account(appd: Appd, tmp_path: Path) -> None:
    outcome = Soak(appd, tmp_path, seeded().randrange(1 << 32)).run(SECONDS)
    print(render(outcome))
    assert not outcome.problems, "\n".join(outcome.problems)
    assert all(tally.times for tally in outcome.tallies.values()) and len(outcome.tallies) == 9
