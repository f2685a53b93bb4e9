"""Limits of memory, CPU and pids: said where the host does not keep them, written where it does.

The kernel's cgroups are stood in for by files of the same names: what is written, and who is told to join, is tested
on any host."""

import re
from pathlib import Path
from typing import Any

import pytest
from harness import http
from harness.appd import DONE, ROLLED_BACK, USAGE, Appd
from harness.apps import write_app
from harness.waiting import wait_until

MIB = 1 << 20
LIMITS = ("--limit-memory", "512MiB", "--limit-memory-high", "400MiB", "--limit-cpu", "1.5", "--limit-pids", "64")
FILES = ("memory.max", "memory.high", "cpu.max", "pids.max", "cgroup.procs")


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """What looks like a cgroup that is left to appd, and one for web in it."""
    base = tmp_path / "cgroup"
    web = base / "app-web"
    web.mkdir(parents=True)
    (base / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    for name in ("cgroup.subtree_control", "cgroup.procs"):
        (base / name).touch()
    for name in FILES:
        (web / name).touch()
    return base


def written(groups: Path) -> dict[str, str]:
    """What was written since it was asked last."""
    said = {name: (groups / "app-web" / name).read_text() for name in FILES}
    for name in FILES:
        (groups / "app-web" / name).write_text("")
    return said


def test_limits_are_written_before_anything_runs_and_change_in_place(
    idle_appd: Appd, groups: Path, port: int, tmp_path: Path
) -> None:
    appd = idle_appd.start("--cgroup", str(groups))
    assert (groups / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    done = appd.create("web", write_app(tmp_path / "web"), port, *LIMITS).expect(DONE)
    assert "limits" not in done.output
    assert written(groups) == {
        "memory.max": str(512 * MIB),
        "memory.high": str(400 * MIB),
        "cpu.max": "150000 100000",
        "pids.max": "64",
        "cgroup.procs": "0",
    }
    assert appd.observed("web").get("limits_note", "") == ""
    before = appd.ready_pids("web")
    appd.ok("set", "web", "--limit-memory", "1GiB", "--limit-cpu", "0")
    assert written(groups) == {
        "memory.max": str(1024 * MIB),
        "memory.high": str(400 * MIB),
        "cpu.max": "max 100000",
        "pids.max": "64",
        "cgroup.procs": "",
    }
    assert appd.ready_pids("web") == before, "nobody was replaced"
    assert "kept by its cgroup" in appd.ctl("doctor", "web").stdout
    # A rollout joins, and the next appd writes them anew.
    appd.ok("reload", "web")
    assert written(groups)["cgroup.procs"] == "0"
    appd.kill9()
    appd.start("--cgroup", str(groups))
    wait_until(lambda: (groups / "app-web" / "memory.max").read_text() == str(1024 * MIB), "the limits are written")
    assert http.request(port, "/").status == 200


def test_a_cgroup_that_cannot_be_joined_fails_the_start_and_says_why(
    idle_appd: Appd, groups: Path, port: int, tmp_path: Path
) -> None:
    appd = idle_appd.start("--cgroup", str(groups))
    (groups / "app-web" / "cgroup.procs").unlink()
    appd.create("web", write_app(tmp_path / "web"), port, *LIMITS, "--no-wait").expect(DONE)
    wait_until(lambda: "cgroup.procs: No such file" in "".join(appd.app_logs().values()), "the log says it")
    (groups / "app-web" / "cgroup.procs").touch()
    appd.wait_ready("web", 1)


@pytest.mark.parametrize("files", [{}, {"cgroup.controllers": "hugetlb io\n"}])
def test_where_the_host_keeps_no_limits_that_is_said_everywhere(
    idle_appd: Appd, port: int, tmp_path: Path, files: dict[str, str]
) -> None:
    none = tmp_path / "none"
    none.mkdir()
    for name, text in files.items():
        (none / name).write_text(text)
    appd = idle_appd.start("--cgroup", str(none))
    why = f"the cgroup {none} has no controller of memory, cpu or pids"
    assert why in appd.log()
    done = appd.create("web", write_app(tmp_path / "web"), port, *LIMITS).expect(DONE)
    assert f"web runs without limits of memory, CPU or pids: {why}" in done.stderr
    assert http.request(port, "/").status == 200, "it runs"
    for verb in (("status",), ("get", "web"), ("doctor", "web")):
        shown = re.sub(r"\s+", " ", appd.ctl(*verb).stdout)
        assert f"of memory, CPU or pids are not kept: {why}" in shown, verb
    assert appd.observed("web")["limits_note"].startswith(why)
    reset = [word for name in ("memory", "memory_high", "cpu", "pids") for word in ("--reset", f"limit_{name}")]
    done = appd.ok("set", "web", *reset)
    assert "without limits" not in done.output
    assert "not kept" not in appd.ok("status").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--limit-memory", "1MiB"), "--limit-memory: the memory of all the app's processes in bytes must be"),
        (("--limit-memory", "100MiB", "--limit-memory-high", "1GiB"), "--limit-memory-high: must be at most"),
        (("--limit-cpu", "-1"), "--limit-cpu: must be 0.01 to 1024 CPUs"),
        (("--limit-pids", "3"), "--limit-pids: the processes and threads of the app together must be"),
        (("--limit-cpu", "two"), "--limit-cpu: 'two' is no number"),
    ],
)
def test_limits_that_nothing_can_live_with_are_refused(
    appd: Appd, port: int, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    refused = appd.create("web", write_app(tmp_path / "web"), port, *arguments).expect(USAGE)
    assert told in refused.stderr
    assert appd.apps() == []


def test_an_app_that_requires_its_limits_is_refused_where_they_are_not_kept(
    idle_appd: Appd, groups: Path, port: int, tmp_path: Path
) -> None:
    (groups / "cgroup.controllers").write_text("memory\n")
    appd = idle_appd.start("--cgroup", str(groups))
    limits = ("--limit-memory", "512MiB", "--limit-pids", "64")
    folder = write_app(tmp_path / "web")
    why = f"there is no pids controller in {groups}"
    refused = appd.create("web", folder, port, *limits, "--require-limits", "on").expect(USAGE)
    assert f"--require-limits: this host does not keep the app's limits: {why}" in refused.stderr
    assert appd.apps() == []
    appd.create("web", folder, port, *limits).expect(DONE)
    assert why in appd.ctl("set", "web", "--require-limits", "on").expect(USAGE).stderr
    appd.ok("set", "web", "--require-limits", "on", "--reset", "limit_pids")
    assert written(groups)["memory.max"] == str(512 * MIB)
    assert http.request(port, "/").status == 200


def test_an_app_that_requires_its_limits_is_not_started_by_an_appd_that_cannot_keep_them(
    idle_appd: Appd, groups: Path, port: int, tmp_path: Path
) -> None:
    appd = idle_appd.start("--cgroup", str(groups))
    appd.create("web", write_app(tmp_path / "web"), port, *LIMITS, "--require-limits", "on").expect(DONE)
    appd.stop()
    none = tmp_path / "none"
    none.mkdir()
    appd.start("--cgroup", str(none))
    why = f"require_limits: the app's limits cannot be kept: the cgroup {none} has no controller"
    wait_until(lambda: why in appd.observed("web").get("last_failure", {}).get("message", ""), "appd says why")
    assert why in re.sub(r"\s+", " ", appd.ctl("status").stdout)
    assert appd.ready_pids("web") == set()
    appd.ok("stop", "web")
    assert "--require-limits" in appd.ctl("start", "web").expect(USAGE).stderr
    appd.ok("set", "web", "--require-limits", "off")
    appd.ok("start", "web")
    assert http.request(port, "/").status == 200


def test_what_fails_for_want_of_processes_says_which_limit_it_was(
    idle_appd: Appd, groups: Path, port: int, tmp_path: Path
) -> None:
    """The kernel's counter is written by hand, and the app fails by itself."""
    appd = idle_appd.start("--cgroup", str(groups))
    events = groups / "app-web" / "pids.events"
    events.write_text("max 3\n")
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, *LIMITS).expect(DONE)
    told = "; limit_pids (64) had refused the app a process or a thread"

    def die() -> str:
        """The reason in the certificate of the only worker, which has ended itself."""
        (pid,) = appd.wait_ready("web", 1)
        http.send_raw(port, b"GET /exit HTTP/1.1\r\nHost: a\r\n\r\n")
        deaths = wait_until(
            lambda: [death for death in dead(appd) if death["pid"] == pid], "the death of the worker is certified"
        )
        return str(deaths[0]["reason"])

    assert told not in die()
    events.write_text("max 5\n")
    assert die().endswith(told)
    assert told not in die(), "it was told once"

    # Code that does not load: both what it says and what the kernel has counted.
    source = f"open({str(events)!r}, 'w').write('max 6')\nraise RuntimeError('no thread')\n"
    write_app(folder, source=source)
    failed = appd.ctl("reload", "web").expect(ROLLED_BACK)
    assert f"RuntimeError: no thread{told}" in re.sub(r"\s+", " ", failed.output)


def dead(appd: Appd) -> list[dict[str, Any]]:
    return appd.ok("workers", "web", "--dead", "-o", "json").json.get("deaths", [])
