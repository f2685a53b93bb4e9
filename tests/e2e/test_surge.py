"""A pool that is replaced in steps: never fewer than wanted that accept, never more than the surge beyond."""

import threading
from pathlib import Path

from harness import http
from harness.appd import CONFLICT, DONE, ROLLED_BACK, USAGE, Appd
from harness.apps import write_app
from harness.events import Events
from harness.load import Load
from harness.pool import Pool
from harness.waiting import wait_until

STEADY = ("--think", "5")
ONE_BY_ONE = ("--workers", "4", "--max-surge", "1")
CHECKED = ("--health-path", "/healthz", "--health-tries", "1")

# From the third worker of a version on, the file `VERSION.third` says how its health check ends: "sick", or
# a wait for the file `gate`.
LIMITED = """
import os, pathlib, time
HERE = pathlib.Path(__file__).parent
VERSION = "{version}"

def third():
    with (HERE / (VERSION + ".asked")).open("a+") as asked:
        asked.write(str(os.getpid()) + "\\n")
        asked.flush()
        asked.seek(0)
        return len(set(asked)) > 2 and (HERE / (VERSION + ".third")).exists()

def app(environ, start_response):
    status = "200 OK"
    if environ["PATH_INFO"] == "/healthz" and third():
        if (HERE / (VERSION + ".third")).read_text() == "sick":
            status = "503 Sick"
        while status == "200 OK" and not (HERE / "gate").exists():
            time.sleep(0.01)
    body = VERSION.encode()
    headers = [("Content-Length", str(len(body))), ("X-Worker-Pid", str(os.getpid()))]
    if "HTTP_X_REQUEST_NUMBER" in environ:
        headers.append(("X-Request-Number", environ["HTTP_X_REQUEST_NUMBER"]))
    start_response(status, headers)
    return [body]
"""


def write_limited(folder: Path, version: str, third: str = "") -> Path:
    write_app(folder, source=LIMITED.replace("{version}", version))
    if third:
        (folder / f"{version}.third").write_text(third)
    return folder


def half_way(appd: Appd) -> bool:
    """Two workers of rollout 2 accept, the third comes up."""
    states = [one["state"] for one in appd.workers("web") if one["rollout"] == "2"]
    return states.count("READY") == 2 and "STARTING" in states


def test_max_surge_bounds_the_pool_and_leaves_no_dip(appd: Appd, events: Events, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *ONE_BY_ONE).expect(DONE)
    before = appd.ready_pids("web")
    pool = Pool(events, "web")
    write_app(folder, version="2")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        appd.ok("reload", "web")
    load.assert_nothing_lost()
    events.wait_for(lambda event: event.get("operation", {}).get("phase") == "SUCCEEDED", "the end")
    assert pool.fewest_ready() == 4, pool.course()
    assert pool.most() == 5, pool.course()
    assert http.request(port, "/version").text == "2"
    assert len(appd.ready_pids("web") - before) == 4


def test_without_it_all_come_up_beside_all(appd: Appd, events: Events, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(DONE)
    pool = Pool(events, "web")
    appd.ok("reload", "web")
    events.wait_for(lambda event: event.get("operation", {}).get("phase") == "SUCCEEDED", "the end")
    assert pool.fewest_ready() == 4
    assert pool.most() == 8


def test_a_small_memory_budget_makes_the_steps_small(appd: Appd, events: Events, port: int, tmp_path: Path) -> None:
    budget = ("--memory-budget", "1MiB")
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4", *budget).expect(DONE)
    pool = Pool(events, "web")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        appd.ok("reload", "web")
    load.assert_nothing_lost()
    told = events.wait_for(lambda event: "there is memory for" in event.get("note", {}).get("text", ""), "why")
    assert "takes over in steps of 1" in told["note"]["text"]
    assert pool.fewest_ready() == 4, pool.course()
    assert pool.most() == 5, pool.course()


def test_memory_is_looked_at_anew_between_the_steps(appd: Appd, events: Events, port: int, tmp_path: Path) -> None:
    folder = write_limited(tmp_path / "web", "1")
    more = ("--workers", "6", "--memory-budget", "1MiB", "--health-timeout", "30s", "--preload", "on")
    appd.create("web", folder, port, *CHECKED, *more).expect(DONE)
    pool = Pool(events, "web")
    write_limited(folder, "2", third="gate")
    operation = appd.ok("reload", "web", "--no-wait").stdout.strip()
    wait_until(lambda: half_way(appd), "rollout 2 is half-way", 30)
    assert pool.most() == 7, pool.course()
    appd.ok("set", "web", "--memory-budget", "0", "--no-wait")
    (folder / "gate").touch()
    appd.ok("wait", operation)
    events.wait_for(lambda event: "there is memory for all again" in event.get("note", {}).get("text", ""), "why")
    events.wait_for(lambda event: event.get("operation", {}).get("phase") == "SUCCEEDED", "the end")
    assert pool.fewest_ready() == 6, pool.course()
    assert pool.most() == 9, "the last three came up at once"


def test_a_rollout_that_fails_half_way_is_taken_back_without_a_dip(
    appd: Appd, events: Events, port: int, tmp_path: Path
) -> None:
    folder = write_limited(tmp_path / "web", "1")
    appd.create("web", folder, port, *ONE_BY_ONE, *CHECKED, "--preload", "on").expect(DONE)
    pool = Pool(events, "web")
    write_limited(folder, "2", third="sick")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
        wait_until(lambda: not appd.observed("web")["reconciling"], "the old code has its workers again")
    load.assert_nothing_lost()
    assert "answered 503, expected 200" in failed.output
    assert "Rollout 1 serves on" in failed.output
    assert {one["rollout"] for one in appd.workers("web")} == {"1"}
    assert len(appd.ready_pids("web")) == 4
    assert http.request(port).text == "1"
    assert pool.fewest_ready() == 4, pool.course()
    assert pool.most() == 5, pool.course()


def test_a_later_reload_supersedes_one_that_is_half_way(appd: Appd, events: Events, port: int, tmp_path: Path) -> None:
    folder = write_limited(tmp_path / "web", "1")
    more = ("--health-timeout", "30s", "--preload", "on")
    appd.create("web", folder, port, *ONE_BY_ONE, *CHECKED, *more).expect(DONE)
    pool = Pool(events, "web")
    write_limited(folder, "2", third="gate")
    first: list[int] = []
    waiting = threading.Thread(target=lambda: first.append(appd.ctl("reload", "web").exit))
    waiting.start()
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        wait_until(lambda: half_way(appd), "rollout 2 is half-way", 30)
        write_limited(folder, "3")
        appd.ok("reload", "web")
    waiting.join()
    load.assert_nothing_lost()
    assert first == [CONFLICT]
    assert {one["rollout"] for one in appd.workers("web")} == {"3"}
    assert len(appd.ready_pids("web")) == 4
    assert http.request(port).text == "3"
    assert pool.fewest_ready() >= 4, pool.course()


def test_the_next_appd_finishes_what_is_half_way(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_limited(tmp_path / "web", "1")
    more = ("--health-timeout", "30s", "--preload", "on")
    appd.create("web", folder, port, *ONE_BY_ONE, *CHECKED, *more).expect(DONE)
    write_limited(folder, "2", third="gate")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=STEADY) as load:
        appd.ok("reload", "web", "--no-wait")
        wait_until(lambda: half_way(appd), "rollout 2 is half-way", 30)
        appd.kill9()
        (folder / "gate").touch()
        appd.start()
        wait_until(lambda: not appd.observed("web")["reconciling"], "the rollout is finished", 30)
    load.assert_nothing_lost()
    assert {one["rollout"] for one in appd.workers("web")} == {"2"}
    assert len(appd.ready_pids("web")) == 4
    assert http.request(port).text == "2"


def test_a_canary_must_fit_into_the_surge(appd: Appd, port: int, tmp_path: Path) -> None:
    refused = appd.create("web", write_app(tmp_path / "web"), port, *ONE_BY_ONE, "--canary", "2").expect(USAGE)
    assert "--canary" in refused.output and "max_surge, which is 1" in refused.output
