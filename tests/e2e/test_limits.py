"""Limits of memory and CPU: said where the host does not keep them, written where it does.

The kernel's cgroups are stood in for by files of the same names: what is written, and who is told to join, is tested
on any host."""

import re
from pathlib import Path

import pytest
from harness import http
from harness.appd import DONE, USAGE, Appd
from harness.apps import write_app
from harness.waiting import wait_until

MIB = 1 << 20
LIMITS = ("--limit-memory", "512MiB", "--limit-memory-high", "400MiB", "--limit-cpu", "1.5")
FILES = ("memory.max", "memory.high", "cpu.max", "cgroup.procs")


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
    assert (groups / "cgroup.subtree_control").read_text() == "+memory +cpu"
    done = appd.create("web", write_app(tmp_path / "web"), port, *LIMITS).expect(DONE)
    assert "limits" not in done.output
    assert written(groups) == {
        "memory.max": str(512 * MIB),
        "memory.high": str(400 * MIB),
        "cpu.max": "150000 100000",
        "cgroup.procs": "0",
    }
    assert appd.observed("web").get("limits_note", "") == ""
    before = appd.ready_pids("web")
    appd.ok("set", "web", "--limit-memory", "1GiB", "--limit-cpu", "0")
    assert written(groups) == {
        "memory.max": str(1024 * MIB),
        "memory.high": str(400 * MIB),
        "cpu.max": "max 100000",
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


@pytest.mark.parametrize("files", [{}, {"cgroup.controllers": "hugetlb pids\n"}])
def test_where_the_host_keeps_no_limits_that_is_said_everywhere(
    idle_appd: Appd, port: int, tmp_path: Path, files: dict[str, str]
) -> None:
    none = tmp_path / "none"
    none.mkdir()
    for name, text in files.items():
        (none / name).write_text(text)
    appd = idle_appd.start("--cgroup", str(none))
    why = f"the cgroup {none} has neither a memory nor a cpu controller"
    assert why in appd.log()
    done = appd.create("web", write_app(tmp_path / "web"), port, *LIMITS).expect(DONE)
    assert f"web runs without limits of memory and CPU: {why}" in done.stderr
    assert http.request(port, "/").status == 200, "it runs"
    for verb in (("status",), ("get", "web"), ("doctor", "web")):
        shown = re.sub(r"\s+", " ", appd.ctl(*verb).stdout)
        assert f"of memory and CPU are not kept: {why}" in shown, verb
    assert appd.observed("web")["limits_note"].startswith(why)
    reset = [word for name in ("memory", "memory_high", "cpu") for word in ("--reset", f"limit_{name}")]
    done = appd.ok("set", "web", *reset)
    assert "without limits" not in done.output
    assert "not kept" not in appd.ok("status").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--limit-memory", "1MiB"), "--limit-memory: the memory of all the app's processes in bytes must be"),
        (("--limit-memory", "100MiB", "--limit-memory-high", "1GiB"), "--limit-memory-high: must be at most"),
        (("--limit-cpu", "-1"), "--limit-cpu: must be 0.01 to 1024 CPUs"),
        (("--limit-cpu", "two"), "--limit-cpu: 'two' is no number"),
    ],
)
def test_limits_that_nothing_can_live_with_are_refused(
    appd: Appd, port: int, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    refused = appd.create("web", write_app(tmp_path / "web"), port, *arguments).expect(USAGE)
    assert told in refused.stderr
    assert appd.apps() == []
