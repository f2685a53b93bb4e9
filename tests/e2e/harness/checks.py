"""What must hold after every test, whatever it did: nothing left over, nothing complained about."""

import os
import re

from harness import processes
from harness.appd import DONE, Appd
from harness.waiting import wait_until

SETTLE_TIMEOUT = 10.0
# gRPC keeps a connection a moment after its client has gone, and pollers that it once made.
GRPC_SLACK = 4
# What a worker may hold besides its standard descriptors: listeners, its link and clients (sockets),
# the scoreboard, its stacks, what the engine waits with, and the access log.
WORKER_FILES = re.compile(
    r"socket:\[\d+\]|pipe:\[\d+\]|/memfd:appd-(scoreboard|stacks).*|anon_inode:\[(eventpoll|eventfd|timerfd|signalfd|pidfd)\]|"
    r"/dev/(null|u?random)|.*/logs/[a-z0-9-]+\.access\.log.*"
)


def worker_descriptors(appd: Appd) -> list[str]:
    """Descriptors of workers that they have no business with: files of appd, or another app's listeners."""
    problems = []
    apps = appd.ok("list", "-o", "json").json.get("apps", [])
    ports = {app["name"].removeprefix("apps/"): _ports(app["spec"].get("bind", [])) for app in apps}
    folders = {app["name"].removeprefix("apps/"): app["spec"]["directory"] for app in apps}
    every = {port for own in ports.values() for port in own}
    for name, own in ports.items():
        for pid in appd.ready_pids(name):
            foreign = processes.listening_inodes(every - own)
            for number, target in processes.open_files(pid).items():
                inode = re.fullmatch(r"socket:\[(\d+)\]", target)
                if inode and int(inode[1]) in foreign:
                    problems.append(f"worker {pid} of {name} holds a listener of another app, fd {number}")
                is_its_own = target.startswith(f"{folders[name]}/")  # what the app itself has opened
                if number > 2 and not is_its_own and not WORKER_FILES.fullmatch(target):
                    problems.append(f"worker {pid} of {name} holds fd {number}: {target}")
    return problems


def _ports(binds: list[str]) -> set[int]:
    return {int(bind.rsplit(":", 1)[1]) for bind in binds if not bind.startswith("unix:")}


def delete_all_apps(appd: Appd) -> list[str]:
    """Afterwards appd must hold what it held when it had no app."""
    for app in appd.ok("list", "-o", "json").json.get("apps", []):
        gone = appd.ctl("delete", app["name"].removeprefix("apps/"))
        if gone.exit != DONE:
            return [f"delete {app['name']} failed: {gone.output}"]
    allowed = appd.baseline_descriptors + GRPC_SLACK
    try:
        wait_until(lambda: len(processes.open_files(appd.pid)) <= allowed, "descriptors", SETTLE_TIMEOUT)
    except AssertionError:
        held = "\n  ".join(f"{fd}: {file}" for fd, file in sorted(processes.open_files(appd.pid).items()))
        return [f"appd holds more than the {allowed} descriptors of a fresh start:\n  {held}"]
    try:
        wait_until(lambda: not processes.descendants(appd.pid), "children", SETTLE_TIMEOUT)
    except AssertionError:
        return [f"still there although every app is deleted: {one}" for one in processes.descendants(appd.pid)]
    return []


def strays(known: set[int]) -> list[str]:
    """Descendants of pytest that were not there before the test: named, killed and buried."""
    processes.reap_adopted(known)
    left = [one for one in processes.descendants(os.getpid()) if one.pid not in known]
    problems = [f"{'zombie' if one.zombie else 'stray process'}: {one}" for one in left]
    processes.kill_for_good(left)
    processes.reap_adopted(known)
    return problems
