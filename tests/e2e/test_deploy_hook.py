"""examples/deploy-hook: the same step of a pipeline in shell and in Python."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest

from harness import http
from harness.appd import DONE, FAILED, ROLLED_BACK, USAGE, Appd
from harness.apps import write_app
from harness.foreign import STUBS
from harness.load import Load
from harness.paths import APPCTL, EXAMPLES
from harness.ports import free_port

HOOKS = ("deploy.sh", "deploy.py")
# Comes up, and is not well.
SICK = """
def app(environ, start_response):
    start_response("503 Service Unavailable", [("Content-Length", "0")])
    return []
"""


class Hook:
    """The step, for releases in folders of their own; run by who has APPD_ADDRESS, appctl and the stubs."""

    def __init__(self, name: str, appd: Appd, port: int, folder: Path) -> None:
        self.name, self.appd, self.port, self.folder = name, appd, port, folder

    def release(self, version: str, source: str | None = None) -> str:
        return str(write_app(self.folder / f"release-{version}", version=version, source=source))

    def run(self, *release: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {
            "APPD_ADDRESS": self.appd.address,
            "PATH": f"{APPCTL.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(STUBS),
        }
        command = [str(EXAMPLES / "deploy-hook" / self.name), "web", f"http://127.0.0.1:{self.port}/", *release]
        return subprocess.run(
            command, env={**os.environ, **known, **environment}, capture_output=True, text=True, timeout=120
        )

    def serves(self) -> str:
        return http.request(self.port, "/version").text


@pytest.fixture(params=HOOKS)
def hook(request: pytest.FixtureRequest, appd: Appd, port: int, tmp_path: Path) -> Hook:
    made = Hook(request.param, appd, port, tmp_path)
    appd.create("web", Path(made.release("1")), port, "--workers", "2").expect(DONE)
    return made


def test_a_good_release_takes_over(hook: Hook) -> None:
    with Load(f"http://127.0.0.1:{hook.port}/", connections=4, options=("--think", "5")) as load:
        ran = hook.run(hook.release("2"))
    load.assert_nothing_lost(at_least=4)
    assert ran.returncode == 0, ran.stderr
    assert hook.serves() == "2"
    newest = hook.appd.ok("history", "web", "-o", "json").json["revisions"][0]
    assert newest["reason"] == "release release-2"


def test_a_release_that_does_not_load_is_refused_with_its_traceback_in_the_log(hook: Hook) -> None:
    ran = hook.run(hook.release("2", source="import settings_of_production\n"))
    assert ran.returncode == ROLLED_BACK
    assert "ModuleNotFoundError: No module named 'settings_of_production'" in ran.stderr
    assert "Traceback (most recent call last)" in ran.stderr
    assert hook.serves() == "1"


def test_a_release_that_is_not_well_is_rolled_back(hook: Hook) -> None:
    ran = hook.run(hook.release("2", source=SICK))
    assert ran.returncode == FAILED, ran.stderr
    assert "503" in ran.stderr and "rolling web back" in ran.stderr
    assert hook.serves() == "1"
    newest = hook.appd.ok("history", "web", "-o", "json").json["revisions"][0]
    assert newest["method"] == "RollbackApp" and "is not well" in newest["reason"]


def test_a_step_that_is_run_again_does_nothing_twice(hook: Hook) -> None:
    step, release = str(uuid.uuid4()), hook.release("2")
    assert hook.run(release, DEPLOY_ID=step).returncode == 0
    before = hook.appd.get("web")["revision"]
    assert hook.run(release, DEPLOY_ID=step).returncode == 0
    assert hook.appd.get("web")["revision"] == before


def test_without_a_release_the_code_in_place_is_loaded_anew(hook: Hook) -> None:
    write_app(hook.folder / "release-1", version="1b")
    assert hook.run().returncode == 0
    assert hook.serves() == "1b"


def test_what_is_wrong_with_the_step_itself_is_said(hook: Hook, tmp_path: Path) -> None:
    nowhere = hook.run(str(tmp_path / "nowhere"))
    assert nowhere.returncode == USAGE
    assert "directory" in nowhere.stderr and "nowhere" in nowhere.stderr
    bare = [str(EXAMPLES / "deploy-hook" / hook.name)]
    known = {**os.environ, "PYTHONPATH": str(STUBS)}
    usage = subprocess.run(bare, capture_output=True, text=True, env=known)
    assert usage.returncode == USAGE and "usage: " in usage.stderr
    assert hook.serves() == "1"
