"""The course of a pool, put together from events: who is there, and who of them accepts."""

from typing import Any

from harness.events import Events


class Pool:
    """Follows the workers of one app from the moment it is made."""

    def __init__(self, events: Events, app: str) -> None:
        self._events = events
        self._prefix = f"apps/{app}/workers/"
        self._begin = len(events.seen)

    def course(self) -> list[tuple[int, int]]:
        """After each event of a worker: how many accept, and how many processes there are."""
        states: dict[int, str] = {}
        course = []
        for number, event in enumerate(list(self._events.seen)):
            worker: dict[str, Any] = event.get("worker", {})
            if not worker.get("name", "").startswith(self._prefix):
                continue
            states[worker["pid"]] = worker["state"]
            if worker["state"] == "EXITED":
                del states[worker["pid"]]
            if number >= self._begin:
                course.append((sum(state == "READY" for state in states.values()), len(states)))
        return course

    def fewest_ready(self) -> int:
        return min(ready for ready, _ in self.course())

    def most(self) -> int:
        return max(there for _, there in self.course())
