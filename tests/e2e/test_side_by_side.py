"""Apps of different kinds beside each other, each in its own directory, environment and interpreter."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import http
from harness.appd import DONE, FAILED, Appd
from harness.apps import copy_example, write_app
from harness.load import Load
from harness.paths import PYTHON
from harness.ports import free_port


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment with a package of its own, made without a network."""
    folder = tmp_path / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "only_in_venv.py").write_text("WORD = 'from the venv'\n")
    return folder


IN_VENV = """
import sys
import only_in_venv

def app(environ, start_response):
    body = f"{sys.prefix} {only_in_venv.WORD}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def test_flask_django_and_a_venv_serve_side_by_side(appd: Appd, tmp_path: Path, venv: Path) -> None:
    flask, django, own = free_port(), free_port(), free_port()
    appd.create("shop", copy_example("flask_hello", tmp_path / "shop"), flask, "--workers", "2", "--env", "GREETING=moin").expect(DONE)
    appd.create(
        "site", copy_example("django_site", tmp_path / "site"), django, "--workers", "2", "--env", "GREETING=servus",
        app="wsgi:application",
    ).expect(DONE)
    in_venv = write_app(tmp_path / "own", source=IN_VENV)
    appd.create("own", in_venv, own, "--workers", "2", "--python", str(venv / "bin" / "python")).expect(DONE)

    assert http.request(flask).text == "Hello from Flask under appd!\n"
    assert json.loads(http.request(flask, "/env").body) == {"name": "GREETING", "value": "moin"}
    page = http.request(django)
    assert page.status == 200 and "Hello from Django" in page.text
    assert json.loads(http.request(django, "/pid").body)["greeting"] == "servus"
    assert http.request(django, "/admin/login/").status == 200
    assert http.request(own).text == f"{venv} from the venv"

    # What the apps share is appd and nothing else.
    pids = [appd.ready_pids(name) for name in ("shop", "site", "own")]
    assert sum(len(one) for one in pids) == len(set().union(*pids)) == 6
    for name, folder in (("shop", "shop"), ("site", "site"), ("own", "own")):
        for pid in appd.ready_pids(name):
            assert os.readlink(f"/proc/{pid}/cwd") == str(tmp_path / folder)
    assert {app["name"] for app in appd.apps()} == {"apps/shop", "apps/site", "apps/own"}


def test_an_app_that_fails_to_import_harms_no_other(appd: Appd, tmp_path: Path) -> None:
    good, bad = free_port(), free_port()
    appd.create("good", write_app(tmp_path / "good"), good, "--workers", "2").expect(DONE)
    before = appd.ready_pids("good")
    broken = write_app(tmp_path / "bad", source="raise RuntimeError('broken from the start')\n")
    with Load(f"http://127.0.0.1:{good}/", options=("--think", "5")) as load:
        failed = appd.create("bad", broken, bad).expect(FAILED)
        assert "broken from the start" in failed.output
    load.assert_nothing_lost()
    assert appd.ready_pids("good") == before
    observed = appd.observed("bad")
    assert observed["state"] == "FAILING"
    assert observed["last_failure"]["cause"] == "IMPORT_FAILED"
    assert observed["retry_time"]
    # Its code put right, it starts.
    write_app(tmp_path / "bad")
    appd.ok("reload", "bad")
    assert http.request(bad).text == "hello"


def test_environment_is_the_apps_own_and_not_appds(idle_appd: Appd, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "x")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    appd = idle_appd.start()
    appd.create("web", write_app(tmp_path / "web"), port, "--env", "ONE=1", "--env", "PATH=/usr/bin").expect(DONE)
    assert http.request(port, "/env?name=SECRET_OF_THE_DAEMON").text == "(unset)"
    assert http.request(port, "/env?name=PYTHONPATH").text == "(unset)"
    assert http.request(port, "/env?name=ONE").text == "1"
    assert http.request(port, "/env?name=PATH").text == "/usr/bin"


def test_venv_that_loses_its_interpreter_is_rolled_back(appd: Appd, port: int, tmp_path: Path, venv: Path) -> None:
    python = venv / "bin" / "python"
    appd.create("own", write_app(tmp_path / "own", source=IN_VENV), port, "--python", str(python)).expect(DONE)
    shutil.move(venv / "bin", venv / "bin-away")
    failed = appd.ctl("reload", "own")
    assert failed.exit != DONE
    assert str(python) in failed.output
    assert "from the venv" in http.request(port).text
    shutil.move(venv / "bin-away", venv / "bin")
    appd.ok("reload", "own")


def test_dotted_callables_and_packages_load(appd: Appd, port: int, tmp_path: Path) -> None:
    package = tmp_path / "web" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    write_app(package)
    (package / "site.py").write_text("from pkg import wsgi\nclass holder:\n    app = staticmethod(wsgi.app)\n")
    appd.create("web", tmp_path / "web", port, app="pkg.site:holder.app").expect(DONE)
    assert http.request(port).text == "hello"
