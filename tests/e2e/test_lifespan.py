"""ASGI's lifespan: a startup that fails is a failed rollout, a shutdown is waited for."""

from pathlib import Path

import pytest

from harness import http
from harness.appd import DONE, FAILED, ROLLED_BACK, Appd
from harness.apps import copy_app
from harness.load import Load

STEADY = ("--think", "5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = copy_app("lifespan", tmp_path / "app")
    (folder / "mode").write_text("works")
    return folder


def create(appd: Appd, folder: Path, port: int, *more: str, code: int = DONE) -> str:
    return appd.create("web", folder, port, *more, app="lifespan:app").expect(code).output


def story(folder: Path) -> list[tuple[str, int]]:
    lines = (folder / "story").read_text().splitlines() if (folder / "story").exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def test_each_worker_has_a_lifespan_of_its_own(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, "--workers", "3")
    pids = appd.ready_pids("web")
    assert len(pids) == 3
    # They are ready, so their startup is over; it is not done in the zygote, whose loop they could not use.
    assert sorted(story(folder)) == sorted(("startup", pid) for pid in pids)


def test_shutdown_is_waited_for_when_workers_leave(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, "--workers", "2")
    before = appd.ready_pids("web")
    appd.ok("scale", "web", "--workers", "1")
    (left,) = before - appd.ready_pids("web")
    assert ("shutdown", left) in story(folder)
    appd.ok("reload", "web")
    assert {pid for what, pid in story(folder) if what == "shutdown"} == before
    last = appd.ready_pids("web")
    appd.ok("stop", "web")
    assert {pid for what, pid in story(folder) if what == "shutdown"} == before | last


def test_shutdown_comes_after_the_last_request(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, "--workers", "2")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        for _ in range(3):
            appd.ok("reload", "web")
    load.assert_nothing_lost()
    shut_down = [pid for what, pid in story(folder) if what == "shutdown"]
    assert len(shut_down) == 6 == len(set(shut_down))


def test_state_is_shared_by_requests_and_its_copy_is_not(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port)
    assert [http.request(port, "/shared").text for _ in range(3)] == ["1", "2", "3"]
    assert [http.request(port, "/own").text for _ in range(2)] == ["False", "False"]


@pytest.mark.parametrize("preload", ["auto", "off"])
def test_startup_that_fails_is_rolled_back_with_its_message(appd: Appd, port: int, folder: Path, preload: str) -> None:
    appd.expect_error("event=boot_failed")
    create(appd, folder, port, "--workers", "2", "--preload", preload)
    before = appd.ready_pids("web")
    (folder / "mode").write_text("fails")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    load.assert_nothing_lost()
    assert "the database has gone fishing" in failed.output
    assert "the database has gone fishing" in appd.observed("web")["last_failure"]["message"]
    assert appd.ready_pids("web") == before
    assert http.request(port).text.startswith("works")


def test_startup_that_fails_at_creation_says_why(appd: Appd, port: int, folder: Path) -> None:
    appd.expect_error("event=boot_failed")
    (folder / "mode").write_text("fails")
    assert "the database has gone fishing" in create(appd, folder, port, code=FAILED)


def test_startup_that_hangs_is_given_up_after_boot_timeout(appd: Appd, port: int, folder: Path) -> None:
    create(appd, folder, port, "--boot-timeout", "2s")
    (folder / "mode").write_text("hangs")
    appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert appd.observed("web")["last_failure"]["cause"] == "BOOT_TIMEOUT"
    assert http.request(port).text.startswith("works")


def test_app_without_a_lifespan_is_served(appd: Appd, port: int, folder: Path) -> None:
    (folder / "mode").write_text("knows none")
    create(appd, folder, port)
    assert http.request(port).text.startswith("knows none")


def test_app_without_a_lifespan_is_refused_when_it_must_have_one(appd: Appd, port: int, folder: Path) -> None:
    appd.expect_error("event=boot_failed")
    create(appd, folder, port, "--lifespan", "on")
    (folder / "mode").write_text("knows none")
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert "this app has no lifespan" in failed.output
    assert http.request(port).text.startswith("works")


def test_lifespan_off_is_never_called(appd: Appd, port: int, folder: Path) -> None:
    (folder / "mode").write_text("fails")
    create(appd, folder, port, "--lifespan", "off")
    appd.ok("stop", "web")
    assert story(folder) == []
