"""Bad input to the control side: a clear refusal that names the field, and nothing half applied."""

import os
import socket
from pathlib import Path

import pytest

from harness import http
from harness.appd import CONFLICT, DONE, FAILED, USAGE, Appd
from harness.apps import write_app
from harness.ports import free_port

# Arguments of `set web`, and a word of the refusal: the flag, field or rule.
BAD_SETTINGS = {
    "no_workers": (("--workers", "0"), "--workers"),
    "too_many_workers": (("--workers", "100000"), "--workers"),
    "negative_workers": (("--workers", "-3"), "--workers"),
    "workers_that_are_no_number": (("--workers", "many"), "--workers"),
    "no_threads": (("--threads", "0"), "--threads"),
    "too_many_threads": (("--threads", "257"), "--threads"),
    "unknown_worker_class": (("--worker-class", "quantum"), "--worker-class"),
    "threads_of_a_class_without": (("--threads", "2", "--worker-class", "gevent"), "--threads"),
    "no_worker_connections": (("--worker-connections", "0"), "--worker-connections"),
    "unknown_loop": (("--loop", "trio"), "--loop"),
    "unknown_lifespan": (("--lifespan", "perhaps"), "--lifespan"),
    "root_path_without_slash": (("--root-path", "shop"), "--root-path"),
    "socket_mode_that_is_no_mode": (("--unix-socket-mode", "rw"), "--unix-socket-mode"),
    "trusted_host_name": (("--forwarded-allow-ips", "proxy.local"), "--forwarded-allow-ips"),
    "proxy_network_too_long": (("--proxy-allow-ips", "10.0.0.0/33"), "--proxy-allow-ips"),
    "unknown_proxy_protocol": (("--proxy-protocol", "v3"), "--proxy-protocol"),
    "access_log_that_is_no_switch": (("--access-log", "perhaps"), "--access-log"),
    "access_log_format_with_unknown_atom": (("--access-log-format", "%(x)s"), "--access-log-format"),
    "websocket_message_limit_of_nothing": (("--ws-max-size", "0"), "--ws-max-size"),
    "negative_ping_interval": (("--ws-ping-interval", "-1s"), "--ws-ping-interval"),
    "bind_without_port": (("--bind", "127.0.0.1"), "--bind"),
    "bind_with_name": (("--bind", "not a host:80"), "--bind"),
    "bind_with_port_too_large": (("--bind", "127.0.0.1:70000"), "--bind"),
    "bind_with_relative_path": (("--bind", "unix:relative"), "--bind"),
    "app_without_callable": (("--app", "wsgi:"), "--app"),
    "app_with_bad_name": (("--app", "ws gi:app"), "--app"),
    "directory_that_does_not_exist": (("--directory", "/nowhere/at/all"), "--directory"),
    "directory_that_is_a_file": (("--directory", "/etc/passwd"), "--directory"),
    "interpreter_that_does_not_exist": (("--python", "/nowhere/python3"), "--python"),
    "interpreter_that_is_no_program": (("--python", "/etc/passwd"), "--python"),
    "environment_with_bad_name": (("--env", "1 BAD=x"), "--env"),
    "environment_without_value": (("--env", "JUST_A_NAME"), "--env"),
    "negative_timeout": (("--timeout", "-1s"), "--timeout"),
    "timeout_that_is_no_time": (("--timeout", "soon"), "--timeout"),
    "request_line_limit_too_small": (("--limit-request-line", "1"), "--limit-request-line"),
    "request_line_limit_too_large": (("--limit-request-line", "1000000"), "--limit-request-line"),
    "no_fields": (("--limit-request-fields", "0"), "--limit-request-fields"),
    "backlog_too_large": (("--backlog", "1000000"), "--backlog"),
    "warmup_path_without_slash": (("--warmup-path", "home"), "--warmup-path"),
    "unknown_preload": (("--preload", "perhaps"), "--preload"),
}


@pytest.mark.parametrize("kind", BAD_SETTINGS)
def test_bad_setting_is_refused_and_changes_nothing(appd: Appd, port: int, tmp_path: Path, kind: str) -> None:
    arguments, names = BAD_SETTINGS[kind]
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    before, pids = appd.apps(), appd.ready_pids("web")
    refused = appd.ctl("set", "web", *arguments).expect(USAGE)
    assert names in refused.stderr
    assert "Traceback" not in refused.output and "terminate" not in refused.output
    assert appd.apps() == before
    assert appd.ready_pids("web") == pids
    assert http.request(port).text == "hello"


@pytest.mark.parametrize("kind", [kind for kind in BAD_SETTINGS if "workers" not in kind])
def test_bad_setting_creates_no_app(appd: Appd, port: int, tmp_path: Path, kind: str) -> None:
    arguments, names = BAD_SETTINGS[kind]
    given = {"--directory": str(write_app(tmp_path / "web")), "--app": "wsgi:app", "--bind": f"127.0.0.1:{port}"}
    given.update(zip(arguments[::2], arguments[1::2]))
    refused = appd.ctl("create", "web", *(word for pair in given.items() for word in pair)).expect(USAGE)
    assert names in refused.stderr
    assert appd.apps() == []


def test_all_violations_are_told_at_once(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    refused = appd.create("web", folder, port, "--workers", "0", "--threads", "1000", "--backlog", "0").expect(USAGE)
    for flag in ("--workers", "--threads", "--backlog"):
        assert flag in refused.stderr
    assert appd.apps() == []


@pytest.mark.parametrize("name", ["", "UPPER", "a/b", "../x", "-lead", "trail-", "dot.ted", "x" * 64, "1st", "späti", "a b"])
def test_bad_app_name_is_refused(appd: Appd, port: int, tmp_path: Path, name: str) -> None:
    appd.ctl(
        *("create", "--directory", str(write_app(tmp_path / "web")), "--app", "wsgi:app"),
        *("--bind", f"127.0.0.1:{port}", "--", name),
    ).expect(USAGE)
    assert appd.apps() == []


@pytest.mark.parametrize(
    "verb", [("get",), ("scale", "--workers", "2"), ("reload",), ("set", "--timeout", "1s"), ("stop",), ("delete",), ("workers",)]
)
def test_unknown_app_is_named(appd: Appd, verb: tuple[str, ...]) -> None:
    refused = appd.ctl(verb[0], "nobody", *verb[1:]).expect(FAILED)
    assert "nobody" in refused.stderr and "APP_NOT_FOUND" in refused.stderr
    assert appd.apps() == []


def test_create_of_a_taken_name_is_a_conflict(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    before = appd.apps()
    refused = appd.create("web", folder, free_port()).expect(CONFLICT)
    assert "APP_EXISTS" in refused.stderr
    assert appd.apps() == before


def test_stale_etag_is_a_conflict(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    stale = appd.get("web")["etag"]
    appd.ok("set", "web", "--timeout", "11s", "--etag", stale)
    before = appd.apps()
    for verb in (("set", "web", "--timeout", "12s"), ("scale", "web", "--workers", "2"), ("reload", "web"), ("delete", "web")):
        refused = appd.ctl(*verb, "--etag", stale).expect(CONFLICT)
        assert "ETAG_MISMATCH" in refused.stderr, verb
    assert appd.apps() == before


def test_port_in_use_is_refused_before_anything_is_touched(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    before, pids = appd.apps(), appd.ready_pids("web")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        refused = appd.ctl("set", "web", "--bind", taken)
        assert refused.exit in (FAILED, USAGE)
        assert taken in refused.stderr and "BIND_FAILED" in refused.stderr
        created = appd.ctl("create", "other", "--directory", str(folder), "--app", "wsgi:app", "--bind", taken)
        assert created.exit in (FAILED, USAGE)
        assert taken in created.stderr
    assert appd.apps() == before
    assert appd.ready_pids("web") == pids


def test_bind_of_another_app_is_refused(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    before = appd.apps()
    refused = appd.create("other", folder, port)
    assert refused.exit in (FAILED, USAGE)
    assert f"127.0.0.1:{port}" in refused.stderr
    assert appd.apps() == before


def test_interpreter_that_is_not_python_is_said_to_be_none(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    failed = appd.ctl("set", "web", "--python", "/bin/ls")
    assert failed.exit != DONE
    assert "/bin/ls" in failed.output
    assert http.request(port).text == "hello"


def test_old_python_is_refused_with_its_version(appd: Appd, port: int, tmp_path: Path) -> None:
    """A program that answers like a Python which is too old."""
    fake = tmp_path / "python3"
    fake.write_text("#!/bin/sh\necho 'this is an old python' >&2\nexit 1\n")
    fake.chmod(0o755)
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    failed = appd.ctl("set", "web", "--python", str(fake))
    assert failed.exit != DONE
    assert str(fake) in failed.output or "this is an old python" in failed.output
    assert http.request(port).text == "hello"


def test_module_that_does_not_exist_is_named(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    failed = appd.create("web", folder, port, app="no_such_module:app").expect(FAILED)
    assert "no_such_module" in failed.output
    appd.ok("delete", "web")
    assert appd.apps() == []


def test_directory_with_odd_characters_is_just_a_directory(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "it's a $(touch gone); \"dir\" ü")
    appd.create("web", folder, port).expect(DONE)
    assert http.request(port).text == "hello"


BAD_MANIFESTS = {
    "malformed_toml": ("bad.toml", "[apps.web\nworkers = 3\n", "bad.toml:1:"),
    "malformed_json": ("bad.json", '{"apps": {"web": {"workers": }}}', "bad.json:1:"),
    "unknown_key": ("bad.toml", "[apps.web]\nworkes = 3\n", "workes"),
    "wrong_type": ("bad.toml", "[apps.web]\nworkers = 'three'\n", "workers"),
    "nothing_in_it": ("bad.toml", "", "no apps"),
    "value_out_of_range": ("bad.toml", "[apps.web]\nworkers = 100000\ndirectory = '/'\napp = 'a:b'\nbind = ['127.0.0.1:1']\n", "workers"),
}


@pytest.mark.parametrize("kind", BAD_MANIFESTS)
def test_bad_manifest_is_refused_with_its_place(appd: Appd, tmp_path: Path, kind: str) -> None:
    name, text, names = BAD_MANIFESTS[kind]
    (tmp_path / name).write_text(text)
    refused = appd.ctl("apply", "-f", str(tmp_path / name)).expect(USAGE)
    assert names in refused.stderr
    assert appd.apps() == []


def test_manifest_that_is_not_there_is_named(appd: Appd, tmp_path: Path) -> None:
    refused = appd.ctl("apply", "-f", str(tmp_path / "gone.toml"))
    assert refused.exit in (FAILED, USAGE)
    assert "gone.toml" in refused.stderr


def test_wrong_arguments_are_a_usage_error(appd: Appd) -> None:
    for arguments in ((), ("dance",), ("scale",), ("scale", "web"), ("create",), ("list", "--colour-me-surprised"), ("apply",)):
        refused = appd.ctl(*arguments).expect(USAGE)
        assert refused.stderr, arguments


def test_garbage_on_the_control_socket_harms_nobody(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + os.urandom(512)):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(appd.socket_path))
            try:
                client.sendall(garbage)
            except BrokenPipeError:
                pass
    appd.ok("get", "web")


def test_every_verb_has_a_help_text(appd: Appd) -> None:
    verbs = "create apply get list status scale set reload stop start delete workers events version".split()
    for verb in verbs:
        assert "--" in appd.ctl(verb, "--help").expect(DONE).stdout, verb
