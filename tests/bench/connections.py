"""Memory of idle connections on one worker, and what they do to the busy ones: 10,000 keep-alive, 2,000 WebSockets."""

import resource
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from asgi import APP, open_websocket
from common import CLIENT_CORE, SERVER_CORE, Report, Server, free_port, memory, running_appd, wrk
from harness.appd import Appd

KEEP_ALIVE, WEBSOCKETS = 10_000, 2_000
SECONDS, CONNECTIONS, ROUNDS = 3, 16, 5


def open_idle(port: int) -> socket.socket:
    """A connection that has been used once."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
    answer = b""
    while not answer.endswith(b"Hello, world!\n"):
        answer += client.recv(4096)
    return client


def measure(report: Report, appd: Appd, port: int, what: str, count: int, connect: Callable[[int], socket.socket]) -> None:
    server = Server("appd", port, appd.pid)
    worker = appd.workers("bench")[0]["pid"]
    wrk(server, 1, CONNECTIONS)
    alone, beside, each = [], [], 0.0
    for number in range(ROUNDS):
        alone.append(wrk(server, SECONDS, CONNECTIONS))
        before = memory(worker).private
        clients = [connect(port) for _ in range(count)]
        if number == 0:  # later ones find memory that was had before
            each = (memory(worker).private - before) / count
        beside.append(wrk(server, SECONDS, CONNECTIONS))
        for client in clients:
            client.close()
    rows = [(median(run.p99_ms for run in runs), median(run.per_second for run in runs)) for runs in (alone, beside)]
    report.row(what, f"{count:,}", f"{each:.2f}", *(f"{p99:.2f}" for p99, _ in rows), *(f"{rate:,.0f}" for _, rate in rows))
    report.figures[what] = {
        "kib_each": each,
        "alone": [vars(run) for run in alone],
        "beside": [vars(run) for run in beside],
    }


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # inherited by appd and its workers
    report = Report(
        "connections",
        f"one asgi worker with idle connections; private memory of the worker; hello, wrk -t1 -c{CONNECTIONS} -d{SECONDS}s, without and beside "
        f"them in turn, medians of {ROUNDS} rounds; cores {SERVER_CORE} and {CLIENT_CORE}",
        ["what", "connections", "KiB each", "p99 ms alone", "p99 ms beside them", "requests/s alone", "beside them"],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appd-bench-")))
        (folder / "asgi.py").write_text(APP)
        for what, count, connect in (("keep-alive", KEEP_ALIVE, open_idle), ("WebSocket", WEBSOCKETS, open_websocket)):
            appd = stack.enter_context(running_appd())
            port = free_port()
            options = ["--worker-class", "asgi", "--keepalive", "10m", "--worker-connections", "100000"]
            appd.create("bench", folder, port, *options, app="asgi:app").expect(0)
            measure(report, appd, port, what, count, connect)
    report.finish()
