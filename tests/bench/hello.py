"""One worker, hello-world WSGI over keep-alive: appd beside nginx, gunicorn and uWSGI."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from common import CLIENT_CORE, ROOT, SERVER_CORE, Report, Server, free_port, gunicorn, interleaved, running, running_appd, uwsgi

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 16
APP = ROOT / "examples" / "hello_wsgi"

NGINX = """
daemon off;
master_process on;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type text/plain;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 "Hello, world!\\n"; }}
    }}
}}
"""


def nginx(folder: Path, port: int) -> list[str]:
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port))
    return ["/usr/sbin/nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]


def main() -> None:
    report = Report(
        "hello",
        f"hello-world WSGI, 1 worker, keep-alive, wrk -t1 -c{CONNECTIONS} -d{SECONDS}s; server tree on core {SERVER_CORE}, "
        f"wrk on core {CLIENT_CORE}; medians of {ROUNDS} interleaved rounds; CPU is user+system of the whole process tree",
        ["server", "requests/s", "p99 ms", "CPU µs/request", "× nginx", "CPU × nginx", "errors"],
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appd-bench-")))
        folder.chmod(0o755)  # nginx's worker is another user when root starts it
        ports = [free_port() for _ in range(6)]
        appd = stack.enter_context(running_appd())
        appd.create("hello", APP, ports[0]).expect(0)
        servers = [Server("appd sync", ports[0], appd.pid)]
        for name, command, port in (
            ("nginx return 200", nginx(folder, ports[1]), ports[1]),
            ("gunicorn gthread", gunicorn("wsgi:app", ports[2], "-k", "gthread", "--threads", "4", "--keep-alive", "75"), ports[2]),
            ("gunicorn sync", gunicorn("wsgi:app", ports[3]), ports[3]),
            ("uWSGI", uwsgi("wsgi:app", ports[4]), ports[4]),
        ):
            servers.append(stack.enter_context(running(name, command, port, APP)))
        appd.create("threaded", APP, ports[5], "--threads", "4").expect(0)
        results = interleaved(servers, ROUNDS, SECONDS, CONNECTIONS)
        # Last, so that its tree (the same appd) is not in the first one's figures while under load.
        results |= interleaved([Server("appd gthread, 4 threads", ports[5], appd.pid)], ROUNDS, SECONDS, CONNECTIONS)
    base = results["nginx return 200"]
    for name, one in results.items():
        report.row(
            name, f"{one.per_second:,.0f}", f"{one.p99_ms:.2f}", f"{one.cpu_us:.2f}",
            f"{one.per_second / base.per_second:.2f}", f"{one.cpu_us / base.cpu_us:.2f}", one.errors,
        )  # fmt: skip
        report.figures[name] = vars(one)
    own = results["appd sync"]
    report.target("requests/s as part of nginx's", own.per_second / base.per_second, 0.95, at_least=True)
    report.target("CPU a request as part of nginx's", own.cpu_us / base.cpu_us, 1.0, at_least=False)
    gthread = results["gunicorn gthread"].per_second
    report.target("requests/s over gunicorn gthread's", own.per_second / gthread, 10.0, at_least=True)
    report.finish()
