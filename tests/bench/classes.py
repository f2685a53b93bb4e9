"""The classes for WSGI beside their peers: hello and Flask at 16, 64 and 512 connections."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from common import CLIENT_CORE, ROOT, SERVER_CORE, Report, Server, free_port, gunicorn, interleaved, running, running_appd, uwsgi
from hello import nginx

ROUNDS, SECONDS = 3, 2
CONNECTIONS = [16, 64, 512]
OWN = {"sync": [], "gthread": ["--threads", "4"], "gevent": [], "eventlet": []}


def main() -> None:
    for what, folder in (("hello", ROOT / "examples" / "hello_wsgi"), ("flask", ROOT / "examples" / "flask_hello")):
        measure(what, folder)


def measure(what: str, app: Path) -> None:
    report = Report(
        f"classes_{what}",
        f"WSGI {what}, 1 worker, keep-alive, wrk -t1 -d{SECONDS}s; server tree on core {SERVER_CORE}, wrk on core {CLIENT_CORE}; "
        f"medians of {ROUNDS} interleaved rounds; CPU is user+system of the whole process tree",
        ["server", *(f"c={one}: requests/s" for one in CONNECTIONS), *(f"c={one}: p99 ms" for one in CONNECTIONS), "CPU µs/request"],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appd-bench-")))
        folder.chmod(0o755)
        servers = []
        for worker_class, options in OWN.items():
            appd = stack.enter_context(running_appd())
            port = free_port()
            appd.create(what, app, port, "--worker-class", worker_class, *options).expect(0)
            servers.append(Server(f"appd {worker_class}", port, appd.pid))
        for name, command in (
            ("nginx return 200", lambda port: nginx(folder, port)),
            ("gunicorn gthread", lambda port: gunicorn("wsgi:app", port, "-k", "gthread", "--threads", "4", "--keep-alive", "75")),
            ("gunicorn gevent", lambda port: gunicorn("wsgi:app", port, "-k", "gevent", "--keep-alive", "75")),
            ("uWSGI", lambda port: uwsgi("wsgi:app", port)),
        ):
            port = free_port()
            servers.append(stack.enter_context(running(name, command(port), port, app)))
        results = {connections: interleaved(servers, ROUNDS, SECONDS, connections) for connections in CONNECTIONS}
    for server in servers:
        rounds = [results[connections][server.name] for connections in CONNECTIONS]
        report.row(
            server.name,
            *(f"{one.per_second:,.0f}" for one in rounds),
            *(f"{one.p99_ms:.1f}" for one in rounds),
            f"{rounds[1].cpu_us:.1f}",
        )
        report.figures[server.name] = {connections: vars(results[connections][server.name]) for connections in CONNECTIONS}
    at_64 = results[64]
    if what == "hello":  # with Flask, the framework is what is measured
        ratio = at_64["appd gevent"].per_second / at_64["gunicorn gevent"].per_second
        report.target("gevent over gunicorn's gevent, 64 connections", ratio, 4, at_least=True)
        ratio = at_64["appd sync"].per_second / at_64["nginx return 200"].per_second
        report.target("sync over nginx return 200, 64 connections", ratio, 0.95, at_least=True)
    report.finish()
