"""Settings on their way from appctl to the sockets and workers, and what a change of them replaces."""

import socket
import stat
from pathlib import Path

import pytest

from harness import http
from harness.appd import FAILED, ROLLED_BACK, USAGE, Appd
from harness.apps import write_app
from harness.ports import free_port

# Flag, what is given, and the field with its value afterwards.
LIVE = [
    ("--worker-connections", "50", "worker_connections", 50),
    ("--forwarded-allow-ips", "10.0.0.0/8, ::1", "forwarded_allow_ips", "10.0.0.0/8, ::1"),
    ("--proxy-protocol", "auto", "proxy_protocol", "auto"),
    ("--proxy-allow-ips", "", "proxy_allow_ips", ""),
    ("--access-log", "on", "access_log", True),
    ("--access-log-format", "json", "access_log_format", "json"),
    ("--ws-max-size", "1MiB", "ws_max_size", str(1 << 20)),
    ("--ws-ping-interval", "0", "ws_ping_interval", "0s"),
    ("--ws-ping-timeout", "3s", "ws_ping_timeout", "3s"),
    ("--ws-per-message-deflate", "off", "ws_per_message_deflate", False),
    ("--ws-drain-timeout", "7s", "ws_drain_timeout", "7s"),
    ("--log-prefix", "off", "log_prefix", False),
    ("--log-max-size", "1MiB", "log_max_size", str(1 << 20)),
    ("--log-max-age", "24h", "log_max_age", "86400s"),
    ("--log-keep", "7", "log_keep", 7),
    ("--unix-socket-mode", "0600", "unix_socket_mode", "0600"),
    ("--health-path", "/version", "health_path", "/version"),
    ("--health-status", "200-299", "health_status", "200-299"),
    ("--health-timeout", "1500ms", "health_timeout", "1.500s"),
    ("--health-tries", "2", "health_tries", 2),
    ("--max-surge", "3", "max_surge", 3),
    ("--memory-budget", "64GiB", "memory_budget", str(64 << 30)),
    ("--canary", "2", "canary", 2),
    ("--bake", "5s", "bake", "5s"),
    ("--max-error-rate", "2.5%", "max_error_rate", 2.5),
    ("--max-latency-factor", "1.5", "max_latency_factor", 1.5),
    ("--request-timeout", "9s", "request_timeout", "9s"),
    ("--max-requests", "1000000", "max_requests", 1000000),
    ("--max-requests-jitter", "50", "max_requests_jitter", 50),
    ("--max-worker-lifetime", "24h", "max_worker_lifetime", "86400s"),
    ("--max-worker-lifetime-jitter", "1h", "max_worker_lifetime_jitter", "3600s"),
    ("--max-memory", "1GiB", "max_memory", str(1 << 30)),
]
ROLLED_OUT = [
    ("--root-path", "/shop", "root_path", "/shop"),
    ("--loop", "asyncio", "loop", "asyncio"),
    ("--lifespan", "off", "lifespan", "off"),
]


def get(family: int, address: object) -> int | None:
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
        return http.status_of(http.read_to_end(client))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_live_settings_reach_the_running_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(0)
    before = appd.ready_pids("web")
    appd.ok("set", "web", *(word for flag, given, _, _ in LIVE for word in (flag, given)))
    # set returns when every worker has confirmed the settings.
    app = appd.get("web")
    assert {field: app["spec"][field] for _, _, field, _ in LIVE} == {field: value for _, _, field, value in LIVE}
    assert appd.ready_pids("web") == before
    assert app["observed"]["rollout"] == "1"


def test_settings_of_the_interpreter_are_rolled_out(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(0)
    before = appd.ready_pids("web")
    appd.ok("set", "web", *(word for flag, given, _, _ in ROLLED_OUT for word in (flag, given)))
    app = appd.get("web")
    assert {field: app["spec"][field] for _, _, field, _ in ROLLED_OUT} == {f: value for _, _, f, value in ROLLED_OUT}
    assert app["observed"]["rollout"] == "2"
    assert appd.ready_pids("web").isdisjoint(before)


def test_a_manifest_has_the_same_settings_and_applies_once(appd: Appd, port: int, tmp_path: Path) -> None:
    write_app(tmp_path / "web")
    manifest = tmp_path / "apps.toml"
    manifest.write_text(f"""
[apps.web]
directory = "web"
app = "wsgi:app"
bind = ["127.0.0.1:{port}"]
worker_class = "gunicorn.workers.gthread.ThreadWorker"
threads = 4
access_log = true
forwarded_allow_ips = ""
ws_drain_timeout = "7s"
unix_socket_mode = "0660"
""")
    appd.ok("apply", "-f", str(manifest))
    spec = appd.get("web")["spec"]
    assert (spec["worker_class"], spec["access_log"], spec["forwarded_allow_ips"]) == ("gthread", True, "")
    assert "unchanged" in appd.ok("apply", "-f", str(manifest)).stdout


def test_auto_is_what_the_callable_needs(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--threads", "2").expect(0)
    app = appd.get("web")
    assert app["spec"]["worker_class"] == "auto"
    assert app["observed"]["worker_class"] == "gthread"


def test_auto_of_an_asgi_app_stays_asgi(appd: Appd, port: int, tmp_path: Path) -> None:
    source = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
"""
    appd.create("web", write_app(tmp_path / "web", source=source), port, "--workers", "2").expect(0)
    before = appd.ready_pids("web")
    assert appd.observed("web")["worker_class"] == "asgi"
    appd.ok("scale", "web", "--worker-class", "uvicorn.workers.UvicornWorker")
    assert appd.ready_pids("web") == before, "it is what it was"
    refused = appd.ctl("scale", "web", "--worker-class", "sync").expect(ROLLED_BACK)
    assert "ASGI" in refused.output
    assert appd.get("web")["spec"]["worker_class"] == "asgi"
    assert appd.ready_pids("web") == before
    assert http.request(port).text == "hello"


def test_a_class_change_that_fails_is_undone_with_its_threads(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(0)
    appd.ok("scale", "web", "--worker-class", "gthread", "--threads", "4")
    before = appd.workers("web")
    failed = appd.ctl("set", "web", "--worker-class", "gevent", "--threads", "1", "--app", "nowhere:app")
    failed.expect(ROLLED_BACK)
    spec = appd.get("web")["spec"]
    assert (spec["worker_class"], spec["threads"], spec["app"]) == ("gthread", 4, "wsgi:app")
    after = appd.workers("web")
    assert [worker["pid"] for worker in after] == [worker["pid"] for worker in before]
    assert [worker["threads"] for worker in after] == [4, 4]


def test_unknown_class_is_refused_with_those_that_exist(appd: Appd, port: int, tmp_path: Path) -> None:
    refused = appd.create("web", write_app(tmp_path / "web"), port, "--worker-class", "meinheld").expect(USAGE)
    for name in ("auto", "sync", "gthread", "gevent", "eventlet", "tornado", "asgi"):
        assert f'"{name}"' in refused.stderr, name


@pytest.mark.parametrize("app", ["wsgi:make('made', loud=True)", "wsgi:site.make('made', loud=True)", "wsgi"])
def test_factories_and_the_module_alone(appd: Appd, port: int, tmp_path: Path, app: str) -> None:
    extra = """
def make(name, *, loud):
    return app
class site:
    make = staticmethod(make)
def application(environ, start_response):
    return app(environ, start_response)
"""
    appd.create("web", write_app(tmp_path / "web", extra=extra), port, app=app).expect(0)
    assert http.request(port).text == "hello"


def test_a_factory_that_cannot_be_called_says_why(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra="def make(name): return app")
    appd.create("web", folder, port, app="wsgi:make('x')").expect(0)
    failed = appd.ctl("set", "web", "--app", "wsgi:make()")
    assert "missing 1 required positional argument: 'name'" in failed.stderr
    failed = appd.ctl("set", "web", "--app", "wsgi:make(open('/etc/passwd'))")
    assert "literals" in failed.stderr
    assert appd.get("web")["spec"]["app"] == "wsgi:make('x')"
    assert http.request(port).text == "hello"


def test_ipv4_ipv6_and_unix_sockets_at_once(appd: Appd, port: int, tmp_path: Path) -> None:
    path = appd.runtime_dir / "web.sock"
    ipv6 = free_port()
    binds = ("--bind", f"[::1]:{ipv6}", "--bind", f"unix:{path}")
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2", *binds).expect(0)
    assert get(socket.AF_INET, ("127.0.0.1", port)) == 200
    assert get(socket.AF_INET6, ("::1", ipv6)) == 200
    assert get(socket.AF_UNIX, str(path)) == 200
    appd.ok("delete", "web")
    assert not path.exists()
    assert http.refused(port)


def test_the_mode_of_a_unix_socket_changes_in_place(appd: Appd, port: int, tmp_path: Path) -> None:
    path = appd.runtime_dir / "web.sock"
    appd.create("web", write_app(tmp_path / "web"), port, "--bind", f"unix:{path}").expect(0)
    before = appd.ready_pids("web")
    assert mode_of(path) == 0o666
    appd.ok("set", "web", "--unix-socket-mode", "0640")
    assert mode_of(path) == 0o640
    assert appd.ready_pids("web") == before
    appd.ok("stop", "web")
    assert not path.exists()
    appd.ok("start", "web")
    assert mode_of(path) == 0o640
    assert get(socket.AF_UNIX, str(path)) == 200


def test_a_bind_that_cannot_be_had_leaves_no_file_of_another(appd: Appd, port: int, tmp_path: Path) -> None:
    path = appd.runtime_dir / "web.sock"
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        folder = str(write_app(tmp_path / "web"))
        binds = ("--bind", f"unix:{path}", "--bind", f"127.0.0.1:{port}")
        refused = appd.ctl("create", "web", "--directory", folder, "--app", "wsgi:app", *binds)
    assert refused.exit == FAILED
    assert "BIND_FAILED" in refused.stderr
    assert not path.exists()
