"""Metrics: what Prometheus gets is what has happened, whoever has died meanwhile."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import http, processes
from harness.appd import DONE, FAILED, ROLLED_BACK, Appd
from harness.apps import write_app
from harness.events import Events, exit_of
from harness.load import Load
from harness.metrics import Prometheus, Scrape, Scraper, scrape
from harness.paths import EXAMPLES
from harness.ports import free_port
from harness.waiting import wait_until

REQUESTS = "appd_app_requests_total"
DASHBOARD = json.loads((EXAMPLES / "grafana" / "appd.json").read_text())


@pytest.fixture
def page() -> int:
    return free_port()


@pytest.fixture
def metered(idle_appd: Appd, page: int) -> Appd:
    """A running appd that serves metrics at `page`."""
    return idle_appd.start("--metrics-listen", f"127.0.0.1:{page}")


def restart(appd: Appd, page: int) -> None:
    appd.start("--metrics-listen", f"127.0.0.1:{page}")


def counted(page: int, requests: int) -> Scrape:
    """A client has its answer a moment before it is counted. Then there are so many, and no more."""
    wait_until(lambda: scrape(page).sum(REQUESTS, app="web") >= requests, f"{requests} requests are counted")
    found = scrape(page)
    assert found.sum(REQUESTS, app="web") == requests
    assert found.sum("appd_app_request_duration_seconds_count", app="web") == requests
    assert found.sum("appd_app_request_duration_seconds_bucket", app="web", le="+Inf") == requests
    assert found.sum("appd_app_request_wait_seconds_count", app="web") == requests
    return found


def test_are_served_only_when_asked_for(appd: Appd, page: int) -> None:
    assert http.refused(page)
    names = {Path(f"/proc/{appd.pid}/task/{task}/comm").read_text().strip() for task in os.listdir(f"/proc/{appd.pid}/task")}
    assert "appd-metrics" not in names


def test_promtool_finds_nothing_to_say(metered: Appd, page: int, port: int, tmp_path: Path) -> None:
    metered.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
    http.request(port)
    metered.ctl("get", "nobody").expect(FAILED)
    found = counted(page, 1)
    checked = subprocess.run(["promtool", "check", "metrics"], input=found.text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert found.sum("appd_build_info") == 1
    assert found.sum("appd_api_calls_total", method="appd.v1.Apps/GetApp", code="NOT_FOUND") == 1
    assert found.sum("appd_api_calls_total", method="appd.v1.Apps/CreateApp", code="OK") == 1
    assert found.sum("appd_app_state", app="web", state="active") == 1
    assert found.sum("appd_app_state", app="web") == 1
    assert found.sum("appd_app_workers", app="web", state="ready") == 2
    assert found.sum("appd_app_operations_total", app="web", kind="create", outcome="succeeded") == 1
    assert len(found.all("appd_worker_memory_bytes", app="web")) == 2
    assert found.sum("appd_app_memory_bytes", app="web") > found.sum("appd_worker_memory_bytes", app="web")
    assert found.sum("process_open_fds") <= len(processes.open_files(metered.pid)) + 4


def test_requests_add_up_over_all_that_happens_to_workers(
    metered: Appd, page: int, port: int, tmp_path: Path
) -> None:
    """Every answer that the load client got is counted once, however its worker ended, and at every scrape there were
    at least as many as before."""
    folder = write_app(tmp_path / "web")
    metered.create("web", folder, port, "--workers", "2").expect(DONE)
    url = f"http://127.0.0.1:{port}/"
    sent = 0
    with Scraper(page) as scraper:
        with Load(url, connections=8) as load:
            metered.ok("scale", "web", "--workers", "4")
            metered.ok("scale", "web", "--workers", "1")
            metered.ok("recycle", "web", str(metered.workers("web")[0]["id"]))
            wait_until(lambda: int(metered.observed("web").get("recycled_workers", 0)) == 1, "it is replaced")
            metered.ok("reload", "web")
            metered.ok("scale", "web", "--workers", "3", "--threads", "2")
        load.assert_nothing_lost()
        sent += load.report["ok"]
        counted(page, sent)

        with Load(url, connections=8) as load:
            metered.kill9()
            restart(metered, page)
            metered.ok("reload", "web")
        load.assert_nothing_lost()
        sent += load.report["ok"]
        counted(page, sent)

        # Drained and started again, rollouts and all.
        metered.stop()
        restart(metered, page)
        metered.wait_ready("web", 3)
        counted(page, sent)
        with Load(url, connections=8) as load:
            pass
        load.assert_nothing_lost(at_least=8)
        sent += load.report["ok"]
        found = counted(page, sent)
        before = scraper.scrapes
        wait_until(lambda: scraper.scrapes > before, "the scraper has seen the end too")
    assert found.sum(REQUESTS, app="web", code="2xx") == sent
    assert found.sum("appd_app_operations_total", app="web", kind="reload", outcome="succeeded") == 2
    assert found.sum("appd_app_recycled_workers_total", app="web") == 1
    assert found.sum("appd_app_worker_exits_total", app="web", cause="asked") > 5


def test_a_killed_worker_leaves_what_it_has_answered(
    metered: Appd, page: int, port: int, tmp_path: Path
) -> None:
    metered.create("web", write_app(tmp_path / "web"), port, "--workers", "2", "--timeout", "60s").expect(DONE)
    for _ in range(20):
        http.request(port)
    counted(page, 20)
    events = Events(metered)
    with http.connect(port) as client:
        client.sendall(b"GET /slow?ms=30000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: scrape(page).sum("appd_app_requests_in_flight", app="web") == 1, "it is in the app")
        (victim,) = (worker["pid"] for worker in metered.workers("web") if worker.get("busy"))
        os.kill(victim, signal.SIGKILL)
        assert http.read_to_end(client) == b""
    events.wait_for(exit_of(victim), "the death is known")
    events.close()
    metered.wait_ready("web", 2)
    for _ in range(20):
        http.request(port)
    found = counted(page, 40)
    assert found.sum("appd_app_worker_exits_total", app="web", cause="killed") == 1
    assert found.sum("appd_app_requests_in_flight", app="web") == 0


def test_what_answers_there_were(metered: Appd, page: int, port: int, tmp_path: Path) -> None:
    metered.create("web", write_app(tmp_path / "web"), port).expect(DONE)
    metered.expect_error('path="/raise"')
    for target in ("/", "/", "/nowhere", "/raise"):
        http.request(port, target)
    http.send_raw(port, b"GET / HTTP/1.1\r\n\r\n")
    wait_until(lambda: scrape(page).sum("appd_app_refused_requests_total", app="web") == 1, "the refused one")
    found = counted(page, 4)
    codes = {code: found.sum(REQUESTS, app="web", code=code) for code in ("none", "1xx", "2xx", "3xx", "4xx", "5xx")}
    assert codes == {"none": 0, "1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 1}
    assert found.sum("appd_app_received_bytes_total", app="web") > 100
    assert found.sum("appd_app_sent_bytes_total", app="web") > 100


def test_a_refused_rollout_counts_with_its_cause(metered: Appd, page: int, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    metered.create("web", folder, port).expect(DONE)
    write_app(folder, extra="import nothing_like_that")
    metered.expect_error("nothing_like_that")
    metered.ctl("reload", "web").expect(ROLLED_BACK)
    found = scrape(page)
    assert found.sum("appd_app_rollout_failures_total", app="web", cause="import_failed") == 1
    assert found.sum("appd_app_rollout_failures_total", app="web") == 1
    assert found.sum("appd_app_operations_total", app="web", kind="reload", outcome="rolled_back") == 1


def test_threads_that_wait_for_the_gil_are_seen(metered: Appd, page: int, port: int, tmp_path: Path) -> None:
    metered.create("web", write_app(tmp_path / "web"), port, "--threads", "4").expect(DONE)
    http.request(port)
    assert counted(page, 1).sum("appd_app_gil_waits_total", app="web") >= 1
    assert scrape(page).sum("appd_app_gil_wait_seconds_total", app="web") > 0


def test_an_app_that_is_deleted_is_shown_no_more(metered: Appd, page: int, tmp_path: Path) -> None:
    metered.ok("create", "job", "--command", "sleep 1000", "--directory", str(tmp_path), "--startsecs", "0")
    assert scrape(page).all("appd_app_info", app="job")
    metered.ok("delete", "job")
    assert not [series for series in scrape(page).series if ("app", "job") in series[1]]


def test_what_strangers_send_is_refused_and_nobody_waits_for_them(metered: Appd, page: int) -> None:
    silent = [http.connect(page) for _ in range(40)]
    half = http.connect(page)
    half.sendall(b"GET /metrics HTTP/1.1\r\n")
    for client in silent:
        client.close()
    assert http.status_of(http.send_raw(page, b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")) == 405
    assert http.status_of(http.send_raw(page, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")) == 404
    assert http.status_of(http.send_raw(page, b"\x16\x03\x01\x02\x00\x01\n\n")) == 400
    assert http.status_of(http.send_raw(page, b"GET /" + b"a" * 1_000_000)) in (414, None)
    assert scrape(page).sum("appd_build_info") == 1
    half.sendall(b"Host: a\r\n\r\n")
    assert http.status_of(http.read_to_end(half)) == 200
    half.close()


@pytest.mark.parametrize("option", ["--metrics-listen", "--statsd-host"])
@pytest.mark.parametrize("address", ["127.0.0.1", "nonsense:9109", "unix:relative"])
def test_an_address_that_is_none_is_named(idle_appd: Appd, option: str, address: str) -> None:
    ended = subprocess.run(idle_appd.command(option, address), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert option in ended.stderr and address in ended.stderr


def test_an_address_that_is_taken_is_named(idle_appd: Appd, metered: Appd, page: int, tmp_path: Path) -> None:
    other = Appd(tmp_path / "other" / "state")
    command = other.command("--metrics-listen", f"127.0.0.1:{page}")
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    other.remove()
    assert ended.returncode == 1
    assert f"127.0.0.1:{page}" in ended.stderr and "another process" in ended.stderr


def test_traces_are_passed_on_and_logged(appd: Appd, port: int, tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = f"00-{trace}-00f067aa0ba902b7-01"
    echo = 'VERSION = "1"\ndef app(environ, start_response):\n    start_response("200 OK", [])\n'
    echo += '    return [environ.get("HTTP_TRACEPARENT", "none").encode(), environ.get("HTTP_TRACESTATE", "").encode()]\n'
    folder = write_app(tmp_path / "web", source=echo)
    appd.create("web", folder, port, "--access-log", "on", "--access-log-format", "json").expect(DONE)
    answer = http.request(port, headers={"traceparent": parent, "tracestate": "vendor=x"})
    assert answer.text == parent + "vendor=x"
    http.request(port, headers={"traceparent": "00-0-0-00"})
    log = Path(appd.observed("web")["access_log_path"])
    lines = wait_until(lambda: len(text := log.read_text().splitlines()) == 2 and text, "both are logged")
    assert [json.loads(line)["trace_id"] for line in lines] == [trace, None]
    appd.ok("set", "web", "--access-log-format", "%(trace_id)s %({traceparent}i)s")
    http.request(port, headers={"traceparent": parent})
    assert wait_until(lambda: len(text := log.read_text().splitlines()) == 3 and text, "it is logged")[-1] == f"{trace} {parent}"


def test_statsd_is_sent_gunicorns_metrics(idle_appd: Appd, port: int, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(30)
        host = f"127.0.0.1:{statsd.getsockname()[1]}"
        idle_appd.start("--statsd-host", host, "--statsd-prefix", "shop.{app}")
        idle_appd.create("web", write_app(tmp_path / "web"), port, "--workers", "2").expect(DONE)
        got: dict[str, float] = {}
        while got.get("shop.web.gunicorn.workers") != 2:
            take_statsd(statsd, got)
        for target in ("/", "/", "/", "/nowhere"):
            http.request(port, target)
        while got.get("shop.web.gunicorn.requests", 0) < 4:
            take_statsd(statsd, got)
        durations = got.pop("shop.web.gunicorn.request.duration")
        assert durations == pytest.approx(4)
        assert got == {
            "shop.web.gunicorn.workers": 2,
            "shop.web.gunicorn.requests": 4,
            "shop.web.gunicorn.request.status.200": 3,
            "shop.web.gunicorn.request.status.404": 1,
        }


def take_statsd(statsd: socket.socket, got: dict[str, float]) -> None:
    """Takes a datagram in as statsd does: counters and samples are added up, a gauge is what was said last."""
    for line in statsd.recv(65536).decode().split("\n"):
        name, value, kind, *rate = re.fullmatch(r"([^:]+):([0-9.]+)\|(c|g|ms)(?:\|@([0-9.e-]+))?", line).groups()  # type: ignore[union-attr]
        if kind == "g":
            got[name] = float(value)
        else:
            samples = 1 / float(rate[0] or 1)
            got[name] = got.get(name, 0) + (samples if kind == "ms" else float(value))


# --- a real Prometheus, and the dashboard


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory, module_appd: Appd) -> Iterator[Prometheus]:
    """One that has scraped an appd for long enough to tell rates, after `SENT` requests."""
    folder = tmp_path_factory.mktemp("observed")
    page, port = free_port(), free_port()
    module_appd.stop()
    restart(module_appd, page)
    module_appd.create("web", write_app(folder / "web"), port, "--workers", "2").expect(DONE)
    with Prometheus(folder / "prometheus", page) as prometheus:
        with Load(f"http://127.0.0.1:{port}/", connections=4) as load:
            module_appd.ok("reload", "web")
            module_appd.ctl("get", "nobody").expect(FAILED)
            rate = f'rate({REQUESTS}{{code="2xx"}}[1m])'
            wait_until(lambda: any(float(found["value"][1]) > 0 for found in prometheus.query(rate)), "a rate", 60)
        load.assert_nothing_lost()
        prometheus.sent = load.report["ok"]  # type: ignore[attr-defined]
        yield prometheus


def test_prometheus_has_what_was_sent(observed: Prometheus) -> None:
    sent = observed.sent  # type: ignore[attr-defined]
    wait_until(lambda: observed.value(f'sum({REQUESTS}{{app="web"}})') == sent, f"{sent} requests in Prometheus", 30)
    assert observed.value('appd_app_request_duration_seconds_count{app="web"}') == sent
    assert observed.value(f"sum(resets({REQUESTS}[10m]))") == 0


def queries() -> list[str]:
    """Every expression of the dashboard, with its variables filled in as Grafana does."""
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    return [text.replace("$app", ".*").replace("$__rate_interval", "1m") for text in expressions]


@pytest.mark.parametrize("query", queries())
def test_a_query_of_the_dashboard_has_data(observed: Prometheus, query: str) -> None:
    assert "$" not in query
    wait_until(lambda: observed.query(query), f"data for {query}", 30)


def test_the_dashboard_offers_the_apps(observed: Prometheus) -> None:
    (app,) = (one for one in DASHBOARD["templating"]["list"] if one["name"] == "app")
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", app["query"]["query"]).groups()  # type: ignore[union-attr]
    assert [found["metric"][label] for found in observed.query(metric)] == ["web"]


def test_the_dashboard_shows_every_family(observed: Prometheus) -> None:
    shown = " ".join(queries())
    names: dict[str, Any] = {found["metric"]["__name__"]: found for found in observed.query('{__name__=~"appd_app_.*"}')}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in names}
    missing = {name for name in families if not re.search(rf"\b{name}(_bucket)?\b", shown)}
    assert missing == {"appd_app_info", "appd_app_rollout", "appd_app_log_lost_bytes_total", "appd_app_gil_waits_total"}
