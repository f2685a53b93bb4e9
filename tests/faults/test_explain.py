"""The accounts themselves: what a certificate explains, and what nothing does."""

from datetime import datetime, timezone
from typing import Any

from crowd import Lost
from explain import account

PATHS = {"slow": "/slow", "fresh": "/"}
AT = 1_800_000_000.0


def death(pid: int, busy: int, connections: int, *targets: str) -> dict[str, Any]:
    end = datetime.fromtimestamp(AT, timezone.utc).isoformat().replace("+00:00", "Z")
    named = [{"method": "GET", "path": target} for target in targets]
    return {"pid": pid, "end_time": end, "busy": busy, "connections": connections, "requests_in_hand": named}


def lost(number: int, kind: str = "slow", how: str = "reset", peer: int = 0, at: float = AT) -> Lost:
    return Lost("web", kind, number, how, peer, at)


def test_what_a_certificate_names_was_in_hand() -> None:
    result = account([lost(7)], [death(1, 1, 3, "/slow?ms=50&n=7")], PATHS)
    assert (len(result.in_hand), result.on_its_connections, result.unexplained) == (1, [], [])


def test_more_than_it_held_is_not_explained() -> None:
    result = account([lost(1), lost(2), lost(3)], [death(1, 0, 2)], PATHS)
    assert (len(result.on_its_connections), len(result.unexplained)) == (2, 1)


def test_a_place_that_is_named_is_nobody_elses() -> None:
    result = account([lost(8)], [death(1, 1, 1, "/slow?ms=50&n=7")], PATHS)
    assert len(result.unexplained) == 1


def test_other_ways_to_fail_and_other_times_are_not_explained() -> None:
    deaths = [death(1, 0, 9)]
    for one in (lost(1, how="timeout"), lost(1, how="refused"), lost(1, how="status"), lost(1, at=AT + 60)):
        assert account([one], deaths, PATHS).unexplained == [one]


def test_without_a_death_nothing_is_explained() -> None:
    assert len(account([lost(1)], [], PATHS).unexplained) == 1
