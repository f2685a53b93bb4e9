"""Memory of 16 workers of a Django app: idle, and after 10,000 requests each."""

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from collections.abc import Iterator

from common import ROOT, Report, Server, free_port, gunicorn, memory, running, running_appd, tree, uwsgi
from harness.paths import LOADGEN

WORKERS = 16
REQUESTS = 10_000 * WORKERS
APP = ROOT / "examples" / "django_site"
MIB = 1024


@contextmanager
def appd_site(*options: str) -> Iterator[Server]:
    with running_appd(core=None) as appd:
        port = free_port()
        appd.create("site", APP, port, "--workers", str(WORKERS), "--preload", "on", *options, app="wsgi:application").expect(0)
        yield Server("appd", port, appd.pid)


@contextmanager
def peer(name: str, command: Callable[..., list[str]], *options: str) -> Iterator[Server]:
    port = free_port()
    with running(name, command("wsgi:application", port, *options), port, APP, core=None) as server:
        yield server


def total_mib(server: Server) -> float:
    return sum(memory(pid).pss for pid in tree(server.root)) / MIB


def private_mib(server: Server) -> float:
    """Of a worker: the average over the processes that have no children of their own."""
    pids = tree(server.root)
    leaves = [pid for pid in pids if len(tree(pid)) == 1 and pid != server.root]
    return sum(memory(pid).private for pid in leaves) / max(len(leaves), 1) / MIB


def serve_requests(server: Server) -> None:
    """New connections all the time, so that every worker gets its share."""
    command = [str(LOADGEN), "--connections", "64", "--fresh", "--requests", str(REQUESTS), f"http://127.0.0.1:{server.port}/"]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    report = Report(
        "memory",
        f"Django with the admin, {WORKERS} workers; PSS of the whole process tree (appd's includes the daemon), private memory of a "
        f"worker on average; idle, then after {REQUESTS:,} requests to a template page over fresh connections",
        ["server", "idle: tree MB", "idle: a worker's own MB", "used: tree MB", "used: a worker's own MB"],
    )
    setups: list[tuple[str, AbstractContextManager[Server]]] = [
        ("appd", appd_site()),
        ("appd, two warm-up requests", appd_site("--warmup-path", "/", "--warmup-path", "/plain")),
        ("gunicorn --preload", peer("gunicorn", gunicorn, "--workers", str(WORKERS), "--preload")),
        ("gunicorn", peer("gunicorn", gunicorn, "--workers", str(WORKERS))),
        ("uWSGI", peer("uWSGI", uwsgi, "--processes", str(WORKERS))),
    ]
    for name, setup in setups:
        with setup as server:
            idle = (total_mib(server), private_mib(server))
            serve_requests(server)
            used = (total_mib(server), private_mib(server))
        report.row(name, *idle, *used)
        report.figures[name] = {"idle_tree": idle[0], "idle_private": idle[1], "used_tree": used[0], "used_private": used[1]}
    plain, warm = report.figures["appd"], report.figures["appd, two warm-up requests"]
    assert isinstance(plain, dict) and isinstance(warm, dict)
    report.target("MB of its own of an idle worker", plain["idle_private"], 2, at_least=False)
    report.target("MB of the tree after the requests", plain["used_tree"], 200, at_least=False)
    report.target("MB of the tree after the requests, warmed up", warm["used_tree"], 145, at_least=False)
    report.finish()
