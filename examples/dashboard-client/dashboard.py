#!/usr/bin/python3
"""Apps and workers of an appd, as a table that follows what happens: dashboard.py [ADDRESS]

Two streams feed it. Events.Watch tells of every change; whoever has seen a revision goes on behind it after a
break, and begins with the present state if appd no longer has it. Stats.WatchStats has the figures. On a
terminal the table is redrawn in place, else it is printed whenever it is another one.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable

import grpc
from appd.v1 import apps_pb2, events_pb2, events_pb2_grpc, stats_pb2, stats_pb2_grpc, workers_pb2
from google.protobuf import duration_pb2

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
CLEAR = "\x1b[H\x1b[2J"
# How long gRPC itself waits, at most, before it connects again.
RECONNECT = [("grpc.max_reconnect_backoff_ms", 2000)]


def say(text: str) -> None:
    print(f"dashboard: {text}", file=sys.stderr, flush=True)


class Picture:
    """What is known. Both streams write to it, the screen waits for it to change."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._apps: dict[str, apps_pb2.App] = {}
        self._workers: dict[str, workers_pb2.Worker] = {}
        self._traffic: dict[str, stats_pb2.Traffic] = {}

    def replace(self, apps: dict[str, apps_pb2.App], workers: dict[str, workers_pb2.Worker]) -> None:
        with self._changed:
            self._apps, self._workers = apps, workers
            self._changed.notify()

    def apply(self, event: events_pb2.WatchResponse) -> None:
        with self._changed:
            apply(event, self._apps, self._workers)
            self._changed.notify()

    def measure(self, figures: stats_pb2.WatchStatsResponse) -> None:
        with self._changed:
            self._traffic = {one.name: one.traffic for one in [*figures.apps, *figures.workers]}
            self._changed.notify()

    def next(self, before: str) -> str:
        """The table, once it is another one."""
        with self._changed:
            while (now := self._table()) == before:
                self._changed.wait()
            return now

    def _table(self) -> str:
        rows = [("NAME", "STATE", "WORKERS", "CLASS", "ROLLOUT", "REQ/S", "P50", "P99")]
        for name, app in sorted(self._apps.items()):
            seen = app.observed
            state = apps_pb2.AppObserved.State.Name(seen.state)
            ready = f"{seen.ready_workers}/{app.spec.workers}"
            rows.append((short(name), state, ready, seen.worker_class, str(seen.rollout), *self._figures(name)))
            for worker in sorted(self._workers.values(), key=lambda one: one.id):
                if worker.name.startswith(f"{name}/"):
                    rows.append(self._row(worker))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
        return "\n".join(lines) + "\n"

    def _row(self, worker: workers_pb2.Worker) -> tuple[str, ...]:
        state = workers_pb2.Worker.State.Name(worker.state)
        who = f"  {worker.id} (pid {worker.pid})"
        return (who, state, "", worker.effective_worker_class, str(worker.rollout), *self._figures(worker.name))

    def _figures(self, name: str) -> tuple[str, str, str]:
        traffic = self._traffic.get(name)
        if traffic is None:
            return ("-", "-", "-")
        rate = f"{traffic.requests_per_second:.0f}"
        return (rate, *(latency(traffic, quantile) for quantile in ("p50", "p99")))


def short(name: str) -> str:
    return name.removeprefix("apps/")


def latency(traffic: stats_pb2.Traffic, quantile: str) -> str:
    if not traffic.HasField(quantile):
        return "-"
    return f"{getattr(traffic, quantile).ToTimedelta().total_seconds() * 1000:.1f} ms"


def apply(
    event: events_pb2.WatchResponse, apps: dict[str, apps_pb2.App], workers: dict[str, workers_pb2.Worker]
) -> None:
    kind = event.WhichOneof("event")
    if kind == "app":
        apps[event.app.name] = event.app
    elif kind == "worker":
        workers[event.worker.name] = event.worker
    elif kind == "removed":
        apps.pop(event.removed.name, None)
        workers.pop(event.removed.name, None)


class Follower:
    """Keeps Picture up to date with Events.Watch, from one revision to the next."""

    def __init__(self, channel: grpc.Channel, picture: Picture) -> None:
        self._stub = events_pb2_grpc.EventsStub(channel)
        self._picture = picture
        self._next = 0  # the first revision that has not been seen; 0: the present state first

    def follow(self) -> None:
        """Until the stream ends, as an RpcError."""
        stream = self._stub.Watch(events_pb2.WatchRequest(start_revision=self._next))
        try:
            self._take(stream)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.OUT_OF_RANGE:
                raise
            say(f"appd no longer has revision {self._next}: beginning anew")
            self._next = 0

    def _take(self, stream: Iterable[events_pb2.WatchResponse]) -> None:
        if self._next == 0:
            apps: dict[str, apps_pb2.App] = {}
            workers: dict[str, workers_pb2.Worker] = {}
            for event in stream:
                if event.HasField("synced"):
                    break
                apply(event, apps, workers)
            else:
                return
            self._picture.replace(apps, workers)
            self._next = event.revision + 1
        for event in stream:
            self._picture.apply(event)
            self._next = event.revision + 1


def follow_stats(channel: grpc.Channel, picture: Picture) -> None:
    stub = stats_pb2_grpc.StatsStub(channel)
    for figures in stub.WatchStats(stats_pb2.WatchStatsRequest(interval=duration_pb2.Duration(seconds=1))):
        picture.measure(figures)


def for_ever(follow: Callable[[], None]) -> None:
    """Again and again, with longer pauses while appd is not there."""
    pause = FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            follow()
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                say(f"{error.code().name}: {error.details()}")
                os._exit(1)
        if time.monotonic() - began > LONGEST_PAUSE:
            pause = FIRST_PAUSE
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def main(address: str) -> None:
    picture = Picture()
    channel = grpc.insecure_channel(address, options=RECONNECT)
    follower = Follower(channel, picture)
    for follow in (follower.follow, lambda: follow_stats(channel, picture)):
        threading.Thread(target=for_ever, args=(follow,), daemon=True).start()
    table = ""
    while True:
        table = picture.next(table)
        print(CLEAR + table if sys.stdout.isatty() else table + "\n", end="", flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("APPD_ADDRESS", "unix:/run/appd/appd.sock"))
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)
