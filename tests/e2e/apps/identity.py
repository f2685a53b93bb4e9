"""Says who it runs as, and tries to become somebody else."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

STATUS = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)


def answer(path):
    if path == "/who":
        return {
            "uid": os.getresuid(),
            "gid": os.getresgid(),
            "groups": sorted(os.getgroups()),
            "umask": STATUS["Umask"],
            "no_new_privs": STATUS["NoNewPrivs"],
            "effective": STATUS["CapEff"],
            "bounding": STATUS["CapBnd"],
            "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "home": os.environ.get("HOME"),
            "user": os.environ.get("USER"),
        }
    if path == "/write":
        made = Path(sys.path[0], "made")
        made.write_text("x")
        return {"mode": oct(made.stat().st_mode & 0o777), "uid": made.stat().st_uid}
    # A setuid program: a copy of id(1) that belongs to root.
    return {"effective": subprocess.run([str(Path("id").absolute()), "-u"], capture_output=True, text=True).stdout.strip()}


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer(environ["PATH_INFO"])).encode()]
