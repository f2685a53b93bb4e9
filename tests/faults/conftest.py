"""The fixtures of tests/e2e, and what the fault suite adds to them: apps for the crowd, and the world to compare with."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crowd import Site, write_code
from harness.appd import DONE, Appd
from harness.ports import free_port
from world import World

HERE = Path(__file__).parent
pytest_plugins = ["e2e.conftest"]


@pytest.fixture
def world(appd: Appd) -> World:
    return World(appd)


@pytest.fixture
def web(appd: Appd, tmp_path: Path) -> Site:
    """Two workers with four threads each."""
    site = Site("web", free_port())
    options = ("--workers", "2", "--threads", "4")
    appd.create("web", write_code(tmp_path / "web", "1"), site.port, *options, app="every_kind:app").expect(DONE)
    return site


@pytest.fixture
def live(appd: Appd, tmp_path: Path) -> Site:
    """Two workers with event loops."""
    site = Site("live", free_port(), live=True)
    options = ("--workers", "2", "--ws-drain-timeout", "200ms")
    appd.create("live", write_code(tmp_path / "live", "1"), site.port, *options, app="every_kind:live").expect(DONE)
    return site


@pytest.fixture(scope="session")
def fail_nth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """shim/fail_nth.c as a library to be loaded before all others."""
    library = tmp_path_factory.mktemp("shim") / "fail_nth.so"
    source = HERE / "shim" / "fail_nth.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def small_state(idle_appd: Appd) -> Iterator[Path]:
    """The state directory as a file system of 1 MiB."""
    folder = idle_appd.state_dir
    folder.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a tmpfs, and not in every container")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
