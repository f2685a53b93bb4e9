"""Worker classes: found out or asked for, refused with a reason, and changed under load."""

import http.client
import subprocess
from pathlib import Path

import pytest

from harness import http as web
from harness.appd import DONE, FAILED, ROLLED_BACK, USAGE, Appd
from harness.apps import copy_app, write_app
from harness.events import Events, exit_of
from harness.load import Load
from harness.paths import PYTHON

CONNECTIONS = 64
STEADY = ("--think", "5")


def effective(appd: Appd) -> set[str]:
    return {worker["effective_worker_class"] for worker in appd.workers("web")}


# --- found out ----------------------------------------------------------------------------------

FORMS = {
    "function": "async def app(scope, receive, send):\n    await answer(send)\n",
    "object": "class App:\n    async def __call__(self, scope, receive, send):\n        await answer(send)\napp = App()\n",
    "method": "class App:\n    async def serve(self, scope, receive, send):\n        await answer(send)\napp = App().serve\n",
    "partial": (
        "import functools\nasync def serve(greeting, scope, receive, send):\n    await answer(send)\n"
        "app = functools.partial(serve, 'hello')\n"
    ),
}
ANSWER = '''
async def answer(send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

'''


@pytest.mark.parametrize("form", FORMS)
def test_auto_finds_asgi_apps(appd: Appd, port: int, tmp_path: Path, form: str) -> None:
    folder = write_app(tmp_path / "app", source=ANSWER + FORMS[form])
    appd.create("web", folder, port).expect(DONE)
    assert effective(appd) == {"asgi"}
    assert web.request(port).text == "hello"


def test_auto_finds_wsgi_apps(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "app"), port).expect(DONE)
    assert appd.get("web")["spec"]["worker_class"] == "auto"
    assert effective(appd) == {"sync"}
    assert web.request(port).text == "hello"


def test_auto_follows_the_code(appd: Appd, port: int, tmp_path: Path) -> None:
    """A reload may turn a WSGI app into an ASGI app; the pool changes its class with it."""
    folder = write_app(tmp_path / "app")
    appd.create("web", folder, port, "--workers", "2").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", options=STEADY) as load:
        write_app(folder, source=(copy_app("hello_asgi", tmp_path / "asgi") / "hello_asgi.py").read_text())
        appd.ok("reload", "web")
        assert effective(appd) == {"asgi"}
    load.assert_nothing_lost()


@pytest.mark.parametrize(
    ("name", "canonical", "loop"),
    [
        ("uvicorn.workers.UvicornWorker", "asgi", "auto"),
        ("uvicorn.workers.UvicornH11Worker", "asgi", "asyncio"),
        ("asyncio", "asgi", "asyncio"),
        ("uvloop", "asgi", "uvloop"),
        ("egg:gunicorn#gevent", "gevent", "auto"),
    ],
)
def test_names_that_people_already_have_are_understood(
    appd: Appd, port: int, tmp_path: Path, name: str, canonical: str, loop: str
) -> None:
    module = "asgi_odd" if canonical == "asgi" else "greenlets"
    folder = copy_app(module, tmp_path / "app")
    appd.create("web", folder, port, "--worker-class", name, app=f"{module}:app").expect(DONE)
    spec = appd.get("web")["spec"]
    assert (spec["worker_class"], spec["loop"]) == (canonical, loop)
    assert effective(appd) == {canonical}
    if loop != "auto":
        assert loop in web.request(port, "/which_loop").text


def test_names_of_loops_choose_the_loop_in_every_way_to_change_it(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("asgi_odd", tmp_path / "app")
    appd.create("web", folder, port, app="asgi_odd:app").expect(DONE)
    appd.ok("scale", "web", "--worker-class", "asyncio")
    assert "asyncio" in web.request(port, "/which_loop").text
    appd.ok("set", "web", "--worker-class", "uvloop")
    assert "uvloop" in web.request(port, "/which_loop").text
    manifest = tmp_path / "apps.toml"
    manifest.write_text(
        f'[apps.web]\ndirectory = "{folder}"\napp = "asgi_odd:app"\nbind = ["127.0.0.1:{port}"]\n'
        'worker_class = "uvicorn.workers.UvicornH11Worker"\n'
    )
    appd.ok("apply", "-f", str(manifest))
    assert "asyncio" in web.request(port, "/which_loop").text
    spec = appd.get("web")["spec"]
    assert (spec["worker_class"], spec["loop"]) == ("asgi", "asyncio")
    generation = appd.get("web")["generation"]
    appd.ok("apply", "-f", str(manifest))
    assert appd.get("web")["generation"] == generation, "the same manifest changes nothing"


def test_class_and_loop_that_contradict_each_other_are_refused(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("hello_asgi", tmp_path / "app")
    options = ("--worker-class", "uvloop", "--loop", "asyncio")
    refused = appd.create("web", folder, port, *options, app="hello_asgi:app").expect(USAGE)
    assert 'loop: is "asyncio"' in refused.output and "choose the class asgi" in refused.output
    assert appd.apps() == []


# --- refused ------------------------------------------------------------------------------------


def test_class_that_does_not_exist_is_refused_at_once(appd: Appd, port: int, tmp_path: Path) -> None:
    refused = appd.create("web", write_app(tmp_path / "app"), port, "--worker-class", "gevnet")
    assert refused.exit in (FAILED, USAGE)
    assert "gevnet" in refused.output and "gevent" in refused.output
    assert appd.apps() == []


def test_wsgi_app_on_class_asgi_is_rolled_back_with_the_reason(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app")
    appd.create("web", folder, port, "--worker-class", "sync").expect(DONE)
    before = appd.ready_pids("web")
    failed = appd.ctl("scale", "web", "--worker-class", "asgi").expect(ROLLED_BACK)
    assert "WSGI" in failed.output
    assert appd.ready_pids("web") == before
    assert web.request(port).text == "hello"


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent", "eventlet"])
def test_asgi_app_on_a_wsgi_class_is_refused_with_the_reason(
    appd: Appd, port: int, tmp_path: Path, worker_class: str
) -> None:
    folder = copy_app("hello_asgi", tmp_path / "app")
    appd.create("web", folder, port, app="hello_asgi:app").expect(DONE)
    before = appd.ready_pids("web")
    failed = appd.ctl("scale", "web", "--worker-class", worker_class).expect(ROLLED_BACK)
    assert "ASGI" in failed.output and worker_class in failed.output
    assert appd.ready_pids("web") == before
    assert web.request(port).text == "hello"


@pytest.mark.parametrize("preload", ["auto", "off"])
def test_asgi_app_on_class_sync_fails_to_be_created(appd: Appd, port: int, tmp_path: Path, preload: str) -> None:
    appd.expect_error("event=boot_failed")
    folder = copy_app("hello_asgi", tmp_path / "app")
    options = ("--worker-class", "sync", "--preload", preload)
    failed = appd.create("web", folder, port, *options, app="hello_asgi:app").expect(FAILED)
    assert "ASGI" in failed.output


@pytest.mark.parametrize("worker_class", ["sync", "gthread", "gevent", "eventlet", "asgi"])
def test_tornados_own_app_is_found_out_and_refused_by_other_classes(
    appd: Appd, port: int, tmp_path: Path, worker_class: str
) -> None:
    folder = copy_app("native_tornado", tmp_path / "app")
    appd.create("web", folder, port, app="native_tornado:app").expect(DONE)
    assert effective(appd) == {"tornado"}
    failed = appd.ctl("scale", "web", "--worker-class", worker_class).expect(ROLLED_BACK)
    assert "tornado" in failed.output and worker_class in failed.output
    assert web.request(port).status == 200


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has the standard library and nothing else."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")


@pytest.mark.parametrize("library", ["gevent", "eventlet", "tornado"])
def test_class_whose_library_is_missing_is_refused_with_its_name(
    appd: Appd, port: int, tmp_path: Path, bare_python: str, library: str
) -> None:
    appd.create("web", write_app(tmp_path / "app"), port, "--python", bare_python).expect(DONE)
    before = appd.ready_pids("web")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        failed = appd.ctl("scale", "web", "--worker-class", library).expect(ROLLED_BACK)
    load.assert_nothing_lost(at_least=1)
    assert f"pip install {library}" in failed.output and f"python3-{library}" in failed.output
    assert bare_python in failed.output
    assert appd.ready_pids("web") == before


@pytest.mark.parametrize("worker_class", ["auto", "asgi"])
def test_uvloop_that_is_missing_is_refused_and_auto_does_without(
    appd: Appd, port: int, tmp_path: Path, bare_python: str, worker_class: str
) -> None:
    appd.expect_error("event=boot_failed")
    folder = copy_app("hello_asgi", tmp_path / "app")
    options = ("--python", bare_python, "--worker-class", worker_class)
    appd.create("web", folder, port, *options, app="hello_asgi:app").expect(DONE)
    before = appd.ready_pids("web")
    failed = appd.ctl("set", "web", "--loop", "uvloop").expect(ROLLED_BACK)
    assert "pip install uvloop" in failed.output
    assert appd.ready_pids("web") == before
    assert web.request(port).text == "hello"


def test_threads_go_with_no_class_of_loops(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("greenlets", tmp_path / "app")
    refused = appd.create("web", folder, port, "--worker-class", "gevent", "--threads", "4", app="greenlets:app")
    assert refused.exit in (FAILED, USAGE)
    assert "threads" in refused.output


# --- changed under load -------------------------------------------------------------------------


def test_pool_moves_through_all_wsgi_classes_without_loss(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("greenlets", tmp_path / "app")
    options = ("--workers", "2", "--worker-class", "sync")
    appd.create("web", folder, port, *options, app="greenlets:app").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS, options=STEADY) as load:
        for worker_class in ("gthread", "gevent", "eventlet", "sync"):
            threads = ("--threads", "4") if worker_class == "gthread" else ("--threads", "1")
            appd.ok("scale", "web", "--worker-class", worker_class, *threads)
            assert effective(appd) == {worker_class}
            assert len(appd.ready_pids("web")) == 2
    load.assert_nothing_lost()


@pytest.mark.parametrize("worker_class", ["gevent", "eventlet"])
def test_greenlet_pool_scaled_and_reloaded_under_load_loses_no_request(
    appd: Appd, port: int, tmp_path: Path, worker_class: str
) -> None:
    folder = copy_app("greenlets", tmp_path / "app")
    options = ("--workers", "2", "--worker-class", worker_class)
    appd.create("web", folder, port, *options, app="greenlets:app").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS, options=STEADY) as load:
        appd.ok("scale", "web", "--workers", "6")
        appd.ok("reload", "web")
        appd.ok("scale", "web", "--workers", "1")
    load.assert_nothing_lost()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_asgi_pool_scaled_and_reloaded_under_load_loses_no_request(
    appd: Appd, port: int, tmp_path: Path, loop: str
) -> None:
    folder = copy_app("hello_asgi", tmp_path / "app")
    appd.create("web", folder, port, "--workers", "2", "--loop", loop, app="hello_asgi:app").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS, options=STEADY) as load:
        appd.ok("scale", "web", "--workers", "8")
        for _ in range(3):
            appd.ok("reload", "web")
        appd.ok("scale", "web", "--workers", "1")
    load.assert_nothing_lost()


def test_asgi_pool_reloaded_while_saturated_loses_no_request(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("hello_asgi", tmp_path / "app")
    appd.create("web", folder, port, "--workers", "2", app="hello_asgi:app").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=CONNECTIONS) as load:
        for _ in range(3):
            appd.ok("reload", "web")
    load.assert_nothing_lost(1000)


def test_asgi_pool_reloaded_under_pipelined_requests_loses_none(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("hello_asgi", tmp_path / "app")
    appd.create("web", folder, port, "--workers", "2", app="hello_asgi:app").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=("--pipeline", "8", "--think", "2")) as load:
        for _ in range(3):
            appd.ok("reload", "web")
    load.assert_nothing_lost()


def test_asgi_pool_reloaded_under_slow_uploads_loses_none(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("hello_asgi", tmp_path / "app")
    appd.create("web", folder, port, "--workers", "2", app="hello_asgi:app").expect(DONE)
    upload = ("--upload", "65536", "--chunk", "4096", "--chunk-pause", "10", "--expect-echo")
    with Load(f"http://127.0.0.1:{port}/upload", connections=16, options=upload) as load:
        for _ in range(2):
            appd.ok("reload", "web")
    load.assert_nothing_lost(at_least=16)


def test_asgi_requests_in_hand_are_finished_before_their_worker_leaves(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("hello_asgi", tmp_path / "app")
    appd.create("web", folder, port, "--workers", "4", app="hello_asgi:app").expect(DONE)
    with Load(f"http://127.0.0.1:{port}/slow?ms=300", connections=16) as load:
        appd.ok("scale", "web", "--workers", "1")
    load.assert_nothing_lost(at_least=16)


# --- bounds and deadlines of class asgi ---------------------------------------------------------


def test_worker_connections_bound_an_asgi_worker_and_change_live(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("asgi_odd", tmp_path / "app")
    appd.create("web", folder, port, "--worker-connections", "10", app="asgi_odd:app").expect(DONE)
    before = appd.ready_pids("web")
    # Ten at a time meet, so ten are let in; more are not.
    assert web.all_at_once(port, ["/meet?10"] * 40) == [b"met"] * 40
    assert web.request(port, "/count?most").text == "10"
    appd.ok("scale", "web", "--worker-connections", "25")
    assert web.all_at_once(port, ["/meet?25"] * 50) == [b"met"] * 50
    assert web.request(port, "/count?most").text == "25"
    assert appd.ready_pids("web") == before


def test_blocked_event_loop_is_ended_and_the_request_named(
    appd: Appd, port: int, tmp_path: Path, events: Events
) -> None:
    appd.expect_error("timeout")
    folder = copy_app("asgi_odd", tmp_path / "app")
    appd.create("web", folder, port, "--timeout", "1s", app="asgi_odd:app").expect(DONE)
    (victim,) = appd.ready_pids("web")
    assert web.request(port, "/sleep?1.5").text == "slept", "waiting is not blocking"
    assert appd.ready_pids("web") == {victim}
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        web.request(port, "/block?60")
    assert "GET /block" in events.wait_for(exit_of(victim), "the exit of the worker")["worker"]["exit_reason"]
    appd.wait_ready("web", 1)
    assert web.request(port, "/which_loop").status == 200
