"""Fixtures of the end-to-end tests, and the check that every one of them leaves nothing behind."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import checks, processes
from harness.appd import Appd
from harness.events import Events
from harness.paths import APPCTL, APPD, LOADGEN
from harness.ports import free_port


def pytest_sessionstart(session: pytest.Session) -> None:
    for binary in (APPD, APPCTL, LOADGEN):
        if not binary.exists():
            pytest.exit(f"{binary} is not built: run scripts/dev build", returncode=2)
    processes.become_subreaper()
    # A shell's background jobs ignore it, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter; pytest's own, and appd's, are the tester's only."""
    made = Path(tempfile.mkdtemp(prefix="appd-e2e-open-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@contextmanager
def checked_appd(folder: Path) -> Iterator[Appd]:
    """An appd, not started. Afterwards it is stopped, and must leave nothing."""
    known = {one.pid for one in processes.descendants(os.getpid())}
    appd = Appd(folder / "state")
    problems = []
    try:
        yield appd
        if appd.running:
            problems += checks.worker_descriptors(appd)
            problems += checks.delete_all_apps(appd)
        if appd.running and (status := appd.stop()) != 0:
            problems.append(f"appd ended with status {status}")
    finally:
        if appd.running:
            appd.kill9()
        problems += checks.strays(known)
        problems += appd.unexpected_errors()
        appd.remove()
    if problems:
        pytest.fail("\n".join([*problems, "appd's log:", appd.log()[-4000:]]), pytrace=False)


@pytest.fixture
def idle_appd(tmp_path: Path) -> Iterator[Appd]:
    """An appd that the test starts itself."""
    with checked_appd(tmp_path) as appd:
        yield appd


@pytest.fixture(scope="module")
def module_appd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appd]:
    """A running appd that the tests of one file share; checked when the last of them has ended."""
    with checked_appd(tmp_path_factory.mktemp("module")) as appd:
        yield appd.start()


@pytest.fixture
def appd(idle_appd: Appd) -> Appd:
    """A running appd without apps."""
    return idle_appd.start()


@pytest.fixture
def events(appd: Appd) -> Iterator[Events]:
    """What happens in `appd`."""
    follower = Events(appd)
    yield follower
    follower.close()
