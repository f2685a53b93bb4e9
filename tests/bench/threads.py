"""Class gthread: how near four threads come to the ideal with an app that sleeps, and what threads
cost with an app that computes."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from common import CLIENT_CORE, ROOT, SERVER_CORE, Report, Server, free_port, gunicorn, interleaved, running, running_appd

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 16
SLEEPER = '''
import time

def app(environ, start_response):
    time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"slept\\n"]
'''


def sleeping() -> None:
    report = Report(
        "threads_sleeping",
        f"an app that sleeps 5 ms, 1 worker, 4 threads (ideal 800/s), wrk -t1 -c{CONNECTIONS} -d{SECONDS}s; "
        f"cores {SERVER_CORE} and {CLIENT_CORE}; medians of {ROUNDS} interleaved rounds",
        ["server", "requests/s", "of ideal", "p99 ms"],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appd-bench-")))
        (folder / "wsgi.py").write_text(SLEEPER)
        own, peer = free_port(), free_port()
        appd = stack.enter_context(running_appd())
        appd.create("sleeper", folder, own, "--threads", "4").expect(0)
        command = gunicorn("wsgi:app", peer, "-k", "gthread", "--threads", "4", "--keep-alive", "75")
        servers = [Server("appd gthread", own, appd.pid), stack.enter_context(running("gunicorn gthread", command, peer, folder))]
        results = interleaved(servers, ROUNDS, SECONDS, CONNECTIONS)
    for name, one in results.items():
        report.row(name, f"{one.per_second:,.0f}", f"{one.per_second / 800:.3f}", f"{one.p99_ms:.2f}")
        report.figures[name] = vars(one)
    report.target("requests/s of 800", results["appd gthread"].per_second, 750, at_least=True)
    report.finish()


def flask() -> None:
    report = Report(
        "threads_flask",
        f"Flask hello, 1 worker, keep-alive, wrk -t1 -c{CONNECTIONS} -d{SECONDS}s; cores {SERVER_CORE} and {CLIENT_CORE}; "
        f"medians of {ROUNDS} interleaved rounds",
        ["server", "requests/s", "p99 ms", "CPU µs/request"],
    )
    app = ROOT / "examples" / "flask_hello"
    with ExitStack() as stack:
        servers = []
        for name, threads in (("appd sync", "1"), ("appd gthread, 4 threads", "4")):
            appd = stack.enter_context(running_appd())
            port = free_port()
            appd.create("flask", app, port, "--threads", threads).expect(0)
            servers.append(Server(name, port, appd.pid))
        port = free_port()
        command = gunicorn("wsgi:app", port, "-k", "gthread", "--threads", "4", "--keep-alive", "75")
        servers.append(stack.enter_context(running("gunicorn gthread", command, port, app)))
        results = interleaved(servers, ROUNDS, SECONDS, CONNECTIONS)
    for name, one in results.items():
        report.row(name, f"{one.per_second:,.0f}", f"{one.p99_ms:.2f}", f"{one.cpu_us:.1f}")
        report.figures[name] = vars(one)
    ratio = results["appd gthread, 4 threads"].cpu_us / results["appd sync"].cpu_us
    report.target("CPU a request, gthread over sync", ratio, 1.15, at_least=False)
    report.finish()


def main() -> None:
    sleeping()
    flask()
