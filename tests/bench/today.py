"""Beside granian, gunicorn and uvicorn of today, from PyPI where it answers: hello-world WSGI and ASGI, one worker each."""

import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from asgi import APP as ASGI_APP
from common import BUILD, CLIENT_CORE, PYTHON, ROOT, SERVER_CORE, Report, Server, free_port, interleaved, running, running_appd

ROUNDS, SECONDS, CONNECTIONS = 3, 3, 64
PACKAGES = ["granian", "gunicorn", "gevent", "uvicorn", "httptools", "uvloop"]
NEEDED = ["packaging"]  # by gunicorn's gevent class, which does not say so
INSTALL_TIMEOUT = 180


def venv() -> Path | None:
    """A virtual environment with the peers of today; nothing if they cannot be had."""
    folder = BUILD / "bench" / "venv"
    subprocess.run([PYTHON, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10"]
    try:
        subprocess.run([*pip, *PACKAGES, *NEEDED], check=True, timeout=INSTALL_TIMEOUT, capture_output=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None
    return folder


def versions(folder: Path) -> str:
    listed = subprocess.run([str(folder / "bin" / "pip"), "list", "--format=freeze"], capture_output=True, text=True, check=True)
    found = dict(line.split("==") for line in listed.stdout.splitlines() if "==" in line)
    return ", ".join(f"{name} {found[name]}" for name in PACKAGES)


def wsgi_peers(programs: Path, port: int) -> dict[str, list[str]]:
    bind = ["--bind", f"127.0.0.1:{port}", "--log-level", "error", "--keep-alive", "75", "--no-control-socket"]
    granian = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port), "--no-log", "--workers", "1"]
    return {
        "granian WSGI": [str(programs / "granian"), *granian, "wsgi:app"],
        "gunicorn gthread, 4 threads": [str(programs / "gunicorn"), *bind, "-k", "gthread", "--threads", "4", "wsgi:app"],
        "gunicorn gevent": [str(programs / "gunicorn"), *bind, "-k", "gevent", "wsgi:app"],
    }


def asgi_peers(programs: Path, port: int) -> dict[str, list[str]]:
    quiet = ["--no-access-log", "--log-level", "error"]
    granian = ["--interface", "asginl", "--host", "127.0.0.1", "--port", str(port), "--no-log", "--workers", "1", "--loop", "uvloop"]
    uvicorn = ["--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools", *quiet]
    return {
        "granian ASGI": [str(programs / "granian"), *granian, "asgi:app"],
        "uvicorn, uvloop and httptools": [str(programs / "uvicorn"), *uvicorn, "asgi:app"],
    }


def main() -> None:
    environment = venv()
    if environment is None:
        print("\ntoday\n  PyPI could not be reached: the peers of today are left out, only Debian's were compared with")
        return
    report = Report(
        "today",
        f"hello, 1 worker, keep-alive, wrk -t1 -c{CONNECTIONS} -d{SECONDS}s; server tree on core {SERVER_CORE}, wrk on core {CLIENT_CORE}; "
        f"medians of {ROUNDS} interleaved rounds; from PyPI: {versions(environment)}",
        ["server", "requests/s", "p99 ms", "CPU µs/request", "appd's requests/s over its"],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appd-bench-")))
        (folder / "asgi.py").write_text(ASGI_APP)
        for own, worker_class, app, directory, peers in (
            ("appd sync", "sync", "wsgi:app", ROOT / "examples" / "hello_wsgi", wsgi_peers),
            ("appd asgi", "asgi", "asgi:app", folder, asgi_peers),
        ):
            appd = stack.enter_context(running_appd())
            port = free_port()
            appd.create("today", directory, port, "--worker-class", worker_class, app=app).expect(0)
            servers = [Server(own, port, appd.pid)]
            for name in peers(environment / "bin", 0):
                port = free_port()
                command = peers(environment / "bin", port)[name]
                servers.append(stack.enter_context(running(name, command, port, directory)))
            results = interleaved(servers, ROUNDS, SECONDS, CONNECTIONS)
            for name, one in results.items():
                ratio = results[own].per_second / one.per_second
                report.row(name, f"{one.per_second:,.0f}", f"{one.p99_ms:.1f}", f"{one.cpu_us:.1f}", f"{ratio:.2f}")
                report.figures[name] = vars(one)
    report.finish()
