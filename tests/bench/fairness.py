"""Four workers, 32 keep-alive connections, a tenth of the requests takes 100 ms: how long do the others wait for it?

The ideal is one queue before four servers, simulated with the same requests; a worker that keeps its connections to
itself lets them wait for its slow request while its siblings idle."""

import asyncio
import heapq
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from common import CLIENT_CORE, SERVER_CORE, Report, Server, free_port, gunicorn, os, running, running_appd

WORKERS, CONNECTIONS, SLOW_SHARE, SLOW_S = 4, 32, 0.1, 0.1
ROUNDS, SECONDS = 3, 12
APP = f'''
import time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep({SLOW_S})
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\\n"]
'''
# Pause of a client between two requests, and what p99 may be over the ideal's.
LOADS = {"half load": (0.160, 1.05), "saturated": (0.0, 1.5)}


@dataclass(frozen=True)
class Sample:
    slow: bool
    seconds: float


def is_slow(connection: int) -> "random.Random":
    """Each connection's own sequence, the same for every server and for the simulation."""
    return random.Random(connection)


async def client(port: int, connection: int, think: float, end: float, samples: list[Sample]) -> None:
    sequence = is_slow(connection)
    await asyncio.sleep(sequence.random() * (think or 0.01))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < end:
        slow = sequence.random() < SLOW_SHARE
        begin = time.perf_counter()
        writer.write(f"GET {'/slow' if slow else '/'} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(3)
        samples.append(Sample(slow, time.perf_counter() - begin))
        if think:
            await asyncio.sleep(think)
    writer.close()


async def all_clients(port: int, think: float, seconds: float) -> list[Sample]:
    samples: list[Sample] = []
    end = time.monotonic() + seconds
    await asyncio.gather(*(client(port, one, think, end, samples) for one in range(CONNECTIONS)))
    return samples


def measured(port: int, think: float, seconds: float = SECONDS) -> list[Sample]:
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CLIENT_CORE})
    try:
        return asyncio.run(all_clients(port, think, seconds))
    finally:
        os.sched_setaffinity(0, affinity)


def ideal(think: float, quick_s: float) -> list[Sample]:
    """One first-come-first-served queue before WORKERS servers."""
    samples = []
    sequences = [is_slow(one) for one in range(CONNECTIONS)]
    asks = [(sequence.random() * (think or 0.01), one) for one, sequence in enumerate(sequences)]
    heapq.heapify(asks)
    free = [0.0] * WORKERS
    while asks and asks[0][0] < SECONDS:
        asked, one = heapq.heappop(asks)
        slow = sequences[one].random() < SLOW_SHARE
        begun = max(asked, heapq.heappop(free))
        done = begun + quick_s + (SLOW_S if slow else 0)
        heapq.heappush(free, done)
        samples.append(Sample(slow, done - asked))
        heapq.heappush(asks, (done + think, one))
    return samples


def quantile(samples: Sequence[Sample], share: float, slow_too: bool = True) -> float:
    """In milliseconds."""
    ordered = sorted(one.seconds for one in samples if slow_too or not one.slow)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appd-bench-")))
        (folder / "wsgi.py").write_text(APP)
        appd = stack.enter_context(running_appd())
        own, peer = free_port(), free_port()
        appd.create("uneven", folder, own, "--workers", str(WORKERS), "--worker-class", "sync").expect(0)
        command = gunicorn("wsgi:app", peer, "-w", str(WORKERS), "-k", "gthread", "--threads", "1", "--keep-alive", "75")
        servers = [
            Server("appd sync", own, appd.pid),
            stack.enter_context(running("gunicorn gthread, 1 thread", command, peer, folder)),
        ]
        for what, (think, limit) in LOADS.items():
            measure(what, think, limit, servers)


def measure(what: str, think: float, limit: float, servers: list[Server]) -> None:
    report = Report(
        f"fairness_{what.replace(' ', '_')}",
        f"{WORKERS} workers, {CONNECTIONS} keep-alive clients that pause {think * 1000:.0f} ms, {SLOW_SHARE:.0%} of the requests take "
        f"{SLOW_S * 1000:.0f} ms; servers on core {SERVER_CORE}, clients on core {CLIENT_CORE}; "
        f"medians of {ROUNDS} interleaved rounds of {SECONDS} s; ideal: one queue, simulated",
        ["server", "requests/s", "p50 ms", "p99 ms", "p90 ms of the quick", "p99 over the ideal's"],
    )
    quick_s = statistics.median(one.seconds for one in measured(servers[0].port, 1.0, 3) if not one.slow)
    rounds: dict[str, list[list[Sample]]] = {server.name: [] for server in servers}
    for _ in range(ROUNDS):
        for server in servers:
            rounds[server.name].append(measured(server.port, think))
    rounds["ideal"] = [ideal(think, quick_s)]
    p99 = {name: statistics.median(quantile(one, 0.99) for one in runs) for name, runs in rounds.items()}
    for name, runs in rounds.items():
        figures = {
            "per_second": statistics.median(len(one) / SECONDS for one in runs),
            "p50_ms": statistics.median(quantile(one, 0.5) for one in runs),
            "p99_ms": p99[name],
            "quick_p90_ms": statistics.median(quantile(one, 0.9, slow_too=False) for one in runs),
            "over_ideal": p99[name] / p99["ideal"],
        }
        report.row(
            name,
            f"{figures['per_second']:,.0f}",
            *(f"{figures[one]:.2f}" for one in ("p50_ms", "p99_ms", "quick_p90_ms", "over_ideal")),
        )
        report.figures[name] = figures
    report.target(f"p99 over the ideal queue's, {what}", p99["appd sync"] / p99["ideal"], limit, at_least=False)
    report.finish()
