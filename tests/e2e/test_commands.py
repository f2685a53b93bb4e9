"""Pools of plain commands, and what a rollout runs once before its workers start."""

import os
import signal
from pathlib import Path

from harness import http, processes
from harness.appd import DONE, FAILED, ROLLED_BACK, USAGE, Appd, Outcome
from harness.apps import write_app
from harness.events import Events, exit_of
from harness.load import Load
from harness.waiting import wait_until

# Says in a file when it starts and when it is told to go.
MAILER = """\
import os, signal, subprocess, sys

def say(what):
    with open("journal", "a") as journal:
        journal.write(f"{what} {os.getpid()}\\n")

def go(number, frame):
    say("told to go")
    sys.exit(0)

signal.signal(signal.SIGTERM, go)
if "--child" in sys.argv:
    subprocess.Popen(["sleep", "1000"])
say("start")
while True:
    signal.pause()
"""


def write_mailer(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "mailer.py").write_text(MAILER)
    return folder


def create(appd: Appd, folder: Path, *more: str, command: str = "python3 mailer.py") -> Outcome:
    startsecs = () if "--startsecs" in more else ("--startsecs", "200ms")
    return appd.ctl("create", "mailer", "--directory", str(folder), "--command", command, *startsecs, *more)


def journal(folder: Path) -> list[str]:
    file = folder / "journal"
    return file.read_text().splitlines() if file.exists() else []


def wait_started(folder: Path, number: int) -> None:
    """Ready is one that has stayed up; whether it has got as far as its own first words is its own matter."""
    wait_until(lambda: sum(line.startswith("start") for line in journal(folder)) == number, "they have begun")


def children(pid: int) -> set[int]:
    return {one.pid for one in processes.descendants(pid)}


# --- the life of a pool ---------------------------------------------------------------------------


def test_a_pool_of_a_command_is_scaled_up_and_down(appd: Appd, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    create(appd, folder).expect(DONE)
    first = appd.ready_pids("mailer")
    appd.ok("scale", "mailer", "--workers", "3")
    three = appd.ready_pids("mailer")
    assert len(three) == 3 and first < three
    appd.ok("scale", "mailer", "--workers", "1")
    assert len(appd.ready_pids("mailer")) == 1
    assert appd.workers("mailer")[0]["effective_worker_class"] == "command"
    assert "command" in appd.ok("status").stdout


def test_one_that_is_scaled_away_is_told_and_may_finish(appd: Appd, events: Events, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    create(appd, folder, "--workers", "2").expect(DONE)
    wait_started(folder, 2)
    before = appd.ready_pids("mailer")
    appd.ok("scale", "mailer", "--workers", "1")
    (gone,) = before - appd.ready_pids("mailer")
    assert f"told to go {gone}" in journal(folder)
    assert events.wait_for(exit_of(gone), "its exit")["worker"]["exit_reason"] == "exited with status 0"


def test_a_reload_replaces_them_only_when_the_new_ones_are_up(appd: Appd, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    create(appd, folder, "--workers", "3", "--startsecs", "2s").expect(DONE)
    old = appd.ready_pids("mailer")
    appd.ok("reload", "mailer")
    new = appd.ready_pids("mailer")
    assert len(new) == 3 and new.isdisjoint(old)
    lines = journal(folder)
    assert len(lines) == 9
    assert all(line.startswith("start") for line in lines[:6]), "all are up before the first is told to go"
    assert {int(line.split()[-1]) for line in lines[6:]} == old


def test_the_next_appd_adopts_them(appd: Appd, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    create(appd, folder, "--workers", "3").expect(DONE)
    before = appd.ready_pids("mailer")
    appd.kill9()
    assert all(processes.alive(pid) for pid in before)
    appd.start()
    assert appd.wait_ready("mailer", 3) == before
    appd.ok("scale", "mailer", "--workers", "4")
    assert before < appd.ready_pids("mailer")
    wait_started(folder, 4)


def test_one_that_dies_is_replaced_and_its_exit_told(appd: Appd, events: Events, tmp_path: Path) -> None:
    create(appd, write_mailer(tmp_path / "mailer"), "--workers", "2").expect(DONE)
    victim = min(appd.ready_pids("mailer"))
    os.kill(victim, signal.SIGKILL)
    assert "SIGKILL" in events.wait_for(exit_of(victim), "its exit")["worker"]["exit_reason"]
    wait_until(lambda: victim not in (pids := appd.ready_pids("mailer")) and len(pids) == 2, "another one")


def test_a_crash_loop_backs_off_and_is_told(appd: Appd, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    line = "sh -c 'echo start >>journal; sleep 0.3; exit 7'"
    create(appd, folder, "--startsecs", "50ms", command=line)

    def failing() -> bool:
        observed = appd.observed("mailer")
        return observed["state"] == "FAILING" and "retry_time" in observed and int(observed["unexpected_exits"]) >= 3

    wait_until(failing, "appd waits before it tries again")
    failure = appd.observed("mailer")["last_failure"]
    assert failure["cause"] == "WORKER_DIED"
    assert "exited with status 7" in failure["message"]
    assert "exited with status 7" in appd.ok("status").stdout
    assert len(journal(folder)) <= 5, "not as fast as it can"


def test_what_it_started_does_not_survive_it(appd: Appd, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    create(appd, folder, command="python3 mailer.py --child").expect(DONE)
    wait_started(folder, 1)
    (pid,) = appd.ready_pids("mailer")
    (child,) = children(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes.alive(child), "its child is gone")
    wait_started(folder, 2)
    (pid,) = wait_until(lambda: appd.ready_pids("mailer") - {pid}, "another one")
    (child,) = children(pid)
    appd.ok("delete", "mailer")
    assert not processes.alive(pid)
    assert not processes.alive(child)


def test_one_that_does_not_go_is_killed_after_graceful_timeout(appd: Appd, events: Events, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    line = "sh -c 'trap : TERM; touch deaf; while :; do sleep 0.1; done'"
    create(appd, folder, "--graceful-timeout", "300ms", command=line).expect(DONE)
    wait_until(lambda: (folder / "deaf").exists(), "it hears no signal")
    (old,) = appd.ready_pids("mailer")
    appd.ok("reload", "mailer")
    assert "graceful_timeout" in events.wait_for(exit_of(old), "its exit")["worker"]["exit_reason"]


def test_stop_signal_is_taken_over_without_a_restart(appd: Appd, events: Events, tmp_path: Path) -> None:
    create(appd, write_mailer(tmp_path / "mailer")).expect(DONE)
    before = appd.ready_pids("mailer")
    appd.ok("set", "mailer", "--stop-signal", "USR1", "--graceful-timeout", "10s")
    assert appd.ready_pids("mailer") == before
    appd.ok("stop", "mailer")
    (pid,) = before
    assert "SIGUSR1" in events.wait_for(exit_of(pid), "its exit")["worker"]["exit_reason"]


# --- what is refused ------------------------------------------------------------------------------


def test_a_command_that_is_not_there_is_refused_and_the_old_one_runs_on(appd: Appd, tmp_path: Path) -> None:
    create(appd, write_mailer(tmp_path / "mailer"), "--workers", "2").expect(DONE)
    before = appd.ready_pids("mailer")
    refused = appd.ctl("set", "mailer", "--command", "no-such-program --now").expect(ROLLED_BACK)
    assert "no-such-program" in refused.output and "No such file" in refused.output
    assert appd.ready_pids("mailer") == before
    assert appd.get("mailer")["spec"]["command"] == "python3 mailer.py"


def test_a_command_that_ends_at_once_is_refused_with_its_last_words(appd: Appd, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    failed = create(appd, folder, command="sh -c 'echo cannot reach the broker; exit 3'").expect(FAILED)
    assert "exited with status 3" in failed.output
    assert "cannot reach the broker" in failed.output
    assert "cannot reach the broker" in appd.app_logs()["logs/mailer.log"]


def test_settings_that_mean_nothing_for_a_command_are_refused(appd: Appd, tmp_path: Path) -> None:
    folder = write_mailer(tmp_path / "mailer")
    refused = create(appd, folder, "--threads", "4", "--bind", "127.0.0.1:1").expect(USAGE)
    assert "--threads: " in refused.output and "--bind: " in refused.output
    assert "no shell runs it" in create(appd, folder, command="a && b").expect(USAGE).output
    assert "--command" in appd.ctl("create", "mailer", "--directory", str(folder)).expect(USAGE).output


def test_a_manifest_may_name_commands(appd: Appd, tmp_path: Path) -> None:
    write_mailer(tmp_path / "mailer")
    manifest = tmp_path / "apps.toml"
    manifest.write_text(
        "[apps.mailer]\n"
        'directory = "mailer"\n'
        'command = "python3 mailer.py"\n'
        'startsecs = "200ms"\n'
        "workers = 2\n"
        'run_once = ["touch prepared"]\n'
    )
    appd.ok("apply", "-f", str(manifest))
    assert len(appd.ready_pids("mailer")) == 2
    assert (tmp_path / "mailer" / "prepared").exists()
    assert "unchanged" in appd.ok("apply", "-f", str(manifest)).stdout


# --- run_once -------------------------------------------------------------------------------------


def test_a_rollout_runs_its_tasks_once(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    one, two = "sh -c 'echo $NAME >>ran; echo migrating'", "sh -c 'cat ran; echo two >>ran'"
    tasks = ("--run-once", one, "--run-once", two, "--env", "NAME=one")
    appd.create("web", folder, port, "--workers", "3", *tasks).expect(DONE)
    assert (folder / "ran").read_text() == "one\ntwo\n"
    assert "migrating\n" in appd.app_logs()["logs/web.log"]
    # Neither a new zygote of the same rollout, nor one after a power cut, runs them again.
    pids = appd.ready_pids("web")
    zygote = processes.process(min(pids)).parent  # type: ignore[union-attr]
    os.kill(zygote, signal.SIGKILL)
    wait_until(lambda: len(new := appd.ready_pids("web")) == 3 and new.isdisjoint(pids), "a new zygote's workers")
    appd.reboot()
    appd.start()
    appd.wait_ready("web", 3)
    assert (folder / "ran").read_text() == "one\ntwo\n"
    appd.ok("reload", "web")
    assert (folder / "ran").read_text() == "one\ntwo\n" * 2


def test_whoever_starts_a_stopped_app_starts_its_code_anew(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port, "--run-once", "sh -c 'echo x >>ran'").expect(DONE)
    appd.ok("stop", "web")
    appd.ok("start", "web")
    assert (folder / "ran").read_text() == "x\n" * 2


def test_a_task_that_fails_rolls_back_and_the_old_code_serves(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    (folder / "migrate").write_text("true")
    appd.create("web", folder, port, "--workers", "2", "--run-once", "sh -c '. ./migrate'").expect(DONE)
    before = appd.ready_pids("web")
    write_app(folder, version="2")
    (folder / "migrate").write_text("echo no such table: users >&2; exit 4")
    with Load(f"http://127.0.0.1:{port}/version", connections=4) as load:
        refused = appd.ctl("reload", "web").expect(ROLLED_BACK)
    load.assert_nothing_lost()
    assert "exited with status 4" in refused.output
    assert "no such table: users" in refused.output
    assert appd.observed("web")["last_failure"]["cause"] == "RUN_ONCE_FAILED"
    assert appd.ready_pids("web") == before
    assert http.request(port, "/version").text == "1"
    (folder / "migrate").write_text("true")
    appd.ok("reload", "web")
    assert http.request(port, "/version").text == "2"


def test_a_task_that_takes_too_long_rolls_back(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    refused = appd.ctl("set", "web", "--run-once", "sleep 1000", "--run-once-timeout", "1s").expect(ROLLED_BACK)
    assert "run_once_timeout" in refused.output
    assert not appd.get("web")["spec"].get("run_once")


def test_a_task_is_not_begun_again_by_an_appd_that_comes_in_the_middle(
    appd: Appd, port: int, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    task = "sh -c 'echo x >>ran; until test -e go; do sleep 0.05; done'"
    appd.ok("set", "web", "--run-once", task, "--no-wait")
    wait_until(lambda: (folder / "ran").exists(), "the task has begun")
    appd.kill9()
    appd.start()
    (operation,) = [one for one in appd.ok("operations", "web", "-o", "json").json["operations"] if not one.get("done")]
    (folder / "go").touch()
    appd.ctl("wait", operation["name"], "--wait-timeout", "20s").expect(DONE)
    assert (folder / "ran").read_text() == "x\n"
    assert int(appd.observed("web")["rollout"]) == 2


def test_a_task_that_ended_while_appd_was_dead_is_not_begun_again(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    task = "sh -c 'echo x >>ran; until test -e go; do sleep 0.05; done; exit 6'"
    appd.ok("set", "web", "--run-once", task, "--no-wait")
    wait_until(lambda: (folder / "ran").exists(), "the task has begun")
    appd.kill9()
    (folder / "go").touch()
    wait_until(lambda: "run_once_failed" in appd.app_logs()["logs/web.log"], "the task has failed")
    appd.start()
    wait_until(lambda: "last_failure" in appd.observed("web"), "the next appd knows")
    assert "exited with status 6" in appd.observed("web")["last_failure"]["message"]
    assert (folder / "ran").read_text() == "x\n"
    assert http.request(port).text == "hello"


def test_a_later_change_ends_the_task_of_the_one_before(appd: Appd, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    appd.create("web", folder, port).expect(DONE)
    task = "sh -c 'trap \"echo told >>ran; exit 1\" TERM; echo begun >>ran; while :; do sleep 0.05; done'"
    appd.ok("set", "web", "--run-once", task, "--no-wait")
    wait_until(lambda: (folder / "ran").exists(), "the task has begun")
    appd.ok("set", "web", "--run-once", "sh -c 'echo second >>ran'")
    wait_until(lambda: len((folder / "ran").read_text().splitlines()) == 3, "all that is to be said is said")
    assert "told" in (folder / "ran").read_text()
