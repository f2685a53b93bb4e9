"""Canaries: the first workers of a rollout serve beside the old pool, and are taken back if they do worse."""

import os
import signal
import threading
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

from harness import http
from harness.appd import DONE, ROLLED_BACK, USAGE, Appd
from harness.apps import copy_app, write_app
from harness.events import Events
from harness.load import Load
from harness.waiting import wait_until

CANARY = ("--workers", "4", "--canary", "1")
# A canary gets its share of new connections.
FRESH = ("--fresh", "--think", "2")

FAILS_HALF = """
import itertools
_hello, _count = None, itertools.count()

def failing(environ, start_response):
    if environ["PATH_INFO"] == "/" and next(_count) % 2:
        start_response = lambda status, headers, answer=start_response: answer("500 Oops", headers)
    return _hello(environ, start_response)
"""


def write_failing(folder: Path, version: str) -> None:
    write_app(folder, version=version, extra=FAILS_HALF)
    with (folder / "wsgi.py").open("a") as file:
        file.write("\n_hello, app = app, failing\n")


def canary_of(appd: Appd, rollout: str = "2") -> int:
    """The pid of the one worker of that rollout that accepts."""
    return wait_until(
        lambda: next((w["pid"] for w in appd.workers("web") if (w["rollout"], w["state"]) == (rollout, "READY")), 0),
        "the canary serves",
        30,
    )


def phases(events: Events, operation: str) -> list[str]:
    seen = [e["operation"]["phase"] for e in list(events.seen) if e.get("operation", {}).get("name") == operation]
    return [phase for number, phase in enumerate(seen) if number == 0 or seen[number - 1] != phase]


def test_a_canary_that_fails_half_of_its_requests_is_taken_back(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *CANARY, "--bake", "1m").expect(DONE)
    before = appd.ready_pids("web")
    write_failing(folder, "2")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=FRESH) as load:
        failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    # Nothing but the canary's own answers failed, and those as the app made them.
    assert set(load.report["failures"]) == {"status"}, load.report
    to_canary = sum(count for pid, count in load.report["collected"].items() if int(pid) not in before)
    assert 0 < load.report["failed"] <= to_canary / 2 + 1
    assert load.report["failed"] <= load.report["sent"] / 2, "not more than the canary's share"
    assert "the canary does worse" in failed.stderr
    assert "max_error_rate is 1 %" in failed.stderr
    assert "Rollout 1 serves on with 4 workers" in failed.stderr
    failure = appd.observed("web")["last_failure"]
    assert failure["cause"] == "CANARY_FAILED"
    wait_until(lambda: not appd.observed("web")["reconciling"], "the canary has gone")
    assert appd.ready_pids("web") == before
    assert http.request(port, "/version").text == "1"


def test_a_canary_that_does_well_is_followed_by_the_others(
    appd: Appd, events: Events, port: int, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *CANARY, "--bake", "2s").expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, version="2")
    with Load(f"http://127.0.0.1:{port}/", connections=16, options=FRESH) as load:
        appd.ok("reload", "web")
    load.assert_nothing_lost()
    told = events.wait_for(lambda e: "the canary of rollout 2 did well" in e.get("note", {}).get("text", ""), "the note")
    assert "0 % of" in told["note"]["text"]
    assert appd.ready_pids("web").isdisjoint(before)
    assert len(appd.ready_pids("web")) == 4
    operation = appd.get("web")["operation"]
    events.wait_for(lambda e: e.get("operation", {}).get("phase") == "SUCCEEDED" and e["operation"]["name"] == operation, "end")
    wanted = iter(phases(events, operation))
    assert all(phase in wanted for phase in ("PREPARING", "WARMING", "SWITCHING", "SUCCEEDED"))
    details = [e["operation"].get("detail", "") for e in events.seen if e.get("operation", {}).get("phase") == "WARMING"]
    assert any(detail.startswith("canary: 1 serving, ") for detail in details), details


def test_a_canary_that_is_much_slower_is_taken_back(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *CANARY, "--threads", "16", "--bake", "6s").expect(DONE)
    write_app(folder, version="2")
    text = (folder / "wsgi.py").read_text()
    (folder / "wsgi.py").write_text(text.replace('body = "hello"', 'body = "hello"; time.sleep(0.4)'))
    with Load(f"http://127.0.0.1:{port}/", connections=48, options=("--fresh", "--think", "20")) as load:
        failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    load.assert_nothing_lost()
    assert "the canary is slower" in failed.stderr, failed.stderr
    assert "max_latency_factor is 3" in failed.stderr
    assert http.request(port, "/version").text == "1"


def test_a_canary_gets_its_share_of_new_connections_on_an_idle_host(appd: Appd, port: int, tmp_path: Path) -> None:
    """One after the other, so that all workers are idle at each; without turns the kernel would wake the same one."""
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *CANARY, "--bake", "1h").expect(DONE)
    appd.ok("reload", "web", "--no-wait")
    canary = canary_of(appd)
    pids = [int(http.request(port, "/pid").text) for _ in range(100)]
    # A fifth is its fair share. A worker that is not back from its last one is passed over.
    assert 10 <= pids.count(canary) <= 40, pids.count(canary)
    assert len(set(pids)) == 5, "and all others got theirs"


def test_a_canary_gets_its_share_of_clients_that_keep_their_connections(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = copy_app("healthy", tmp_path / "web")
    (folder / "version").write_text("1")
    appd.create("web", folder, port, *CANARY, "--bake", "1h", app="healthy:wsgi").expect(DONE)
    clients = [HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(40)]

    def ask_all() -> Counter[int]:
        pids: Counter[int] = Counter()
        for client in clients:
            client.request("GET", "/pid")  # connects again after a Connection: close
            pids[int(client.getresponse().read())] += 1
        return pids

    ask_all()
    appd.ok("reload", "web", "--no-wait")
    canary = canary_of(appd)
    wait_until(lambda: ask_all()[canary] >= 4, "a tenth of the clients are the canary's", 30)
    settled = wait_until(lambda: ask_all() == (last := ask_all()) and last, "the clients stay where they are", 30)
    assert settled[canary] <= 30, settled
    for client in clients:
        client.close()
    appd.ok("delete", "web")


def test_a_canary_without_requests_is_taken_over_and_that_is_said(
    appd: Appd, events: Events, port: int, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *CANARY, "--bake", "300ms").expect(DONE)
    write_app(folder, version="2")
    appd.ok("reload", "web")
    events.wait_for(lambda e: "had too few requests to be compared" in e.get("note", {}).get("text", ""), "the note")
    assert http.request(port, "/version").text == "2"


def test_a_canary_that_dies_is_taken_back(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *CANARY, "--bake", "1m").expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, version="2")
    ended: list[str] = []
    reload = threading.Thread(target=lambda: ended.append(appd.ctl("reload", "web").expect(ROLLED_BACK).stderr))
    reload.start()
    os.kill(canary_of(appd), signal.SIGKILL)
    reload.join()
    assert "a canary, was killed by signal 9 (SIGKILL)" in ended[0]
    assert appd.ready_pids("web") == before


def test_a_bake_can_be_cut_short(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *CANARY, "--bake", "1h").expect(DONE)
    write_app(folder, version="2")
    reload = threading.Thread(target=lambda: appd.ok("reload", "web"))
    reload.start()
    canary_of(appd)
    appd.ok("set", "web", "--bake", "10ms")
    reload.join()
    assert http.request(port, "/version").text == "2"


def test_the_first_start_needs_no_canary(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, *CANARY, "--bake", "1h").expect(DONE)
    assert len(appd.ready_pids("web")) == 4


def test_rates_that_cannot_be_are_refused(appd: Appd, port: int, tmp_path: Path) -> None:
    for flag, value, words in [
        ("--max-error-rate", "101", "a percentage from 0 to 100"),
        ("--max-latency-factor", "0.5", "from 1 to 1000"),
        ("--max-error-rate", "few", "is no number"),
        ("--bake", "0", "must be from 1 ms"),
    ]:
        refused = appd.create("web", write_app(tmp_path / "web"), port, flag, value).expect(USAGE)
        assert flag in refused.output and words in refused.output
