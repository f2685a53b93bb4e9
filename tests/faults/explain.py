"""Accounts for requests that were lost, by the certificates of the workers that were killed.

A killed worker takes along what it had in hand (its certificate counts it, and names the first eight), and what was
under way on its other connections. Everything else that is lost has no excuse."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crowd import Lost

# Between a worker's death and the moment at which a client has seen its connection end.
AROUND_S = 10.0
# Only so does the death of the other side show.
SEEN_AS = {"reset", "eof"}


@dataclass
class Grave:
    """What one certificate can account for."""

    pid: int
    end: float
    in_hand: int
    idle: int  # connections without a request in hand
    named: set[tuple[str, int]] = field(default_factory=set)

    def near(self, lost: Lost) -> bool:
        return abs(lost.at - self.end) < AROUND_S


@dataclass
class Account:
    in_hand: list[Lost] = field(default_factory=list)
    on_its_connections: list[Lost] = field(default_factory=list)
    unexplained: list[Lost] = field(default_factory=list)


def grave(death: dict[str, Any]) -> Grave:
    named = {(path_of(one["path"]), number) for one in death["requests_in_hand"] if (number := number_of(one["path"]))}
    end = datetime.fromisoformat(death["end_time"]).timestamp()
    busy, connections = death.get("busy", 0), death.get("connections", 0)
    return Grave(death["pid"], end, busy, max(connections - busy, 0), named)


def path_of(target: str) -> str:
    return target.partition("?")[0]


def number_of(target: str) -> int | None:
    """N of "…n=N", as loadgen --mark writes it."""
    marked = [part for part in target.partition("?")[2].split("&") if part.startswith("n=")]
    return int(marked[0][2:]) if marked and marked[0][2:].isdigit() else None


def account(lost: Sequence[Lost], deaths: Sequence[dict[str, Any]], paths: dict[str, str]) -> Account:
    """`paths`: of each kind of client. All of one app."""
    graves = [grave(death) for death in deaths]
    result = Account()
    rest: list[Lost] = []
    for one in lost:
        key = (paths.get(one.kind, ""), one.number)
        owner = next((each for each in graves if key in each.named and each.near(one)), None)
        if owner is not None and owner.in_hand > 0 and one.how in SEEN_AS:
            owner.named.discard(key)
            owner.in_hand -= 1
            result.in_hand.append(one)
        else:
            rest.append(one)
    for one in rest:
        # Who last answered on its connection is known only of those that are kept, and may have passed it on.
        owners = sorted((each for each in graves if each.near(one)), key=lambda each: each.pid != one.peer)
        for owner in owners if one.how in SEEN_AS else []:
            if owner.in_hand > len(owner.named):  # in hand, but not named
                owner.in_hand -= 1
                result.in_hand.append(one)
                break
            if owner.idle > 0:
                owner.idle -= 1
                result.on_its_connections.append(one)
                break
        else:
            result.unexplained.append(one)
    return result
