"""Scaling: workers and threads change under clients that notice nothing."""

import threading
from pathlib import Path

from harness import http, processes
from harness.appd import Appd
from harness.apps import write_app
from harness.load import Load

CONNECTIONS = 64
# A steady load, not a saturating one: the point is that nobody notices.
STEADY = ("--think", "5")


def url(port: int, target: str = "/") -> str:
    return f"http://127.0.0.1:{port}{target}"


def test_scale_returns_when_all_17_workers_accept(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(0)
    before = appd.ready_pids("web")
    assert len(before) == 4
    appd.ok("scale", "web", "--workers", "17")
    # Nothing is waited for here: the command has returned, so they accept.
    after = appd.ready_pids("web")
    assert len(after) == 17
    assert before < after, "the four that ran are still the same processes"
    assert all(processes.alive(pid) for pid in after)
    workers = appd.workers("web")
    assert sorted(worker["id"] for worker in workers) == sorted({worker["id"] for worker in workers})
    assert {worker["rollout"] for worker in workers} == {"1"}


def test_every_one_of_17_workers_serves(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "17").expect(0)
    with Load(url(port, "/slow?ms=2"), connections=CONNECTIONS, options=("--fresh",)) as load:
        pids = {str(pid) for pid in appd.ready_pids("web")}
        while set(load.snapshot()["collected"]) != pids:
            assert load.snapshot()["duration_s"] < 20, "some worker never served"
    load.assert_nothing_lost()


def test_scaling_up_and_down_under_keepalive_load_loses_no_request(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(0)
    with Load(url(port), connections=CONNECTIONS, options=STEADY) as load:
        appd.ok("scale", "web", "--workers", "17")
        assert len(appd.ready_pids("web")) == 17
        with Load(url(port), connections=CONNECTIONS, options=STEADY) as spread:  # over all 17
            appd.ok("scale", "web", "--workers", "3")
            assert len(appd.ready_pids("web")) == 3
    load.assert_nothing_lost()
    spread.assert_nothing_lost()


def test_scaling_down_while_saturated_loses_no_request(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "8").expect(0)
    with Load(url(port), connections=CONNECTIONS) as load:
        for workers in ("2", "8", "1", "4"):
            appd.ok("scale", "web", "--workers", workers)
    load.assert_nothing_lost(1000)


def test_threads_change_inside_the_running_workers(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(0)
    before = appd.ready_pids("web")
    with Load(url(port), connections=CONNECTIONS, options=STEADY) as load:
        appd.ok("scale", "web", "--threads", "8")
        with_threads = appd.workers("web")
        appd.ok("scale", "web", "--threads", "1")
        without = appd.workers("web")
    load.assert_nothing_lost()
    assert {worker["pid"] for worker in with_threads} == before
    assert {worker["pid"] for worker in without} == before
    assert [worker["threads"] for worker in with_threads] == [8, 8]
    assert [worker["threads"] for worker in without] == [1, 1]
    assert {worker["worker_class"] for worker in with_threads} == {"auto"}
    assert {worker["effective_worker_class"] for worker in with_threads} == {"gthread"}
    assert {worker["effective_worker_class"] for worker in without} == {"sync"}


def test_threads_serve_at_the_same_time(appd: Appd, port: int, tmp_path: Path) -> None:
    """Eight requests that each wait for all eight to be there."""
    extra = """
import threading
BARRIER = threading.Barrier(8)
class Meet:
    def __call__(self, environ, start_response):
        BARRIER.wait(timeout=15)
        start_response("200 OK", [("Content-Length", "3")])
        return [b"met"]
meet = Meet()
"""
    folder = write_app(tmp_path / "web", extra=extra)
    appd.create("web", folder, port, "--threads", "8", app="wsgi:meet").expect(0)
    assert appd.observed("web")["worker_class"] == "gthread"
    answers: list[int] = []
    clients = [threading.Thread(target=lambda: answers.append(http.request(port).status)) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert answers == [200] * 8


def test_a_request_in_hand_is_finished_before_its_worker_leaves(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "4").expect(0)
    with Load(url(port, "/slow?ms=300"), connections=8) as load:
        appd.ok("scale", "web", "--workers", "1")
    load.assert_nothing_lost(at_least=8)
    assert len(appd.ready_pids("web")) == 1


def test_scaling_to_what_is_there_changes_nothing(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "3").expect(0)
    before = appd.ready_pids("web")
    appd.ok("scale", "web", "--workers", "3")
    assert appd.ready_pids("web") == before
    assert appd.get("web")["generation"] == "1"


def test_worker_class_is_changed_by_scale_in_place(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(0)
    before = appd.ready_pids("web")
    appd.ok("scale", "web", "--worker-class", "gthread", "--threads", "4")
    assert appd.ready_pids("web") == before
    spec = appd.get("web")["spec"]
    assert (spec["worker_class"], spec["threads"]) == ("gthread", 4)
    for name in ("sync", "auto", "egg:gunicorn#gthread"):
        appd.ok("scale", "web", "--worker-class", name)
        assert appd.ready_pids("web") == before, name
    assert appd.get("web")["spec"]["worker_class"] == "gthread"


def test_settings_that_workers_take_over_keep_them_running(appd: Appd, port: int, tmp_path: Path) -> None:
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(0)
    before = appd.ready_pids("web")
    with Load(url(port), connections=CONNECTIONS, options=STEADY) as load:
        appd.ok("set", "web", "--timeout", "45s", "--keepalive", "20s", "--limit-request-line", "1000")
    load.assert_nothing_lost()
    assert appd.ready_pids("web") == before
    assert appd.get("web")["spec"]["timeout"] == "45s"
    # The new limit is in force: a line of more than 1000 bytes is refused.
    assert http.request(port, "/" + "x" * 1100).status == 414


def test_a_new_environment_is_rolled_out_without_loss(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--workers", "2", "--env", "GREETING=hello").expect(0)
    before = appd.ready_pids("web")
    assert http.request(port, "/env?name=GREETING").text == "hello"
    with Load(url(port), connections=CONNECTIONS, options=STEADY) as load:
        appd.ok("set", "web", "--env", "GREETING=good day")
    load.assert_nothing_lost()
    assert http.request(port, "/env?name=GREETING").text == "good day"
    assert appd.ready_pids("web").isdisjoint(before)


def test_a_second_bind_is_opened_and_the_first_one_kept(appd: Appd, port: int, tmp_path: Path) -> None:
    from harness.ports import free_port

    second = free_port()
    unix = appd.runtime_dir / "app.sock"
    appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(0)
    binds = ("--bind", f"127.0.0.1:{port}", "--bind", f"127.0.0.1:{second}", "--bind", f"unix:{unix}")
    with Load(url(port), connections=CONNECTIONS, options=STEADY) as load:
        appd.ok("set", "web", *binds)
    load.assert_nothing_lost()
    assert http.request(second).text == "hello"
    with Load("http://127.0.0.1:1/", connections=1, options=("--unix", str(unix))) as over_unix:
        pass
    over_unix.assert_nothing_lost(1)
    appd.ok("set", "web", "--bind", f"127.0.0.1:{second}")
    assert http.request(second).text == "hello"
    assert http.refused(port)
