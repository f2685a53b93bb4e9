"""User-mode instructions a request in the worker, by callgrind and the difference of two runs."""

import re
import subprocess
import tempfile
from pathlib import Path

from common import BUILD, PYTHON, ROOT, Report, free_port, http, wait_until
from harness.paths import LOADGEN

FEW, MANY = 2_000, 12_000
APP = ROOT / "examples" / "hello_wsgi"
TARGET = 6_500


def instructions(requests: int) -> int:
    """Of a whole run, start and end of the interpreter included."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="appd-bench-") as folder:
        out = Path(folder) / "callgrind.%p"
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", PYTHON]
        command += [str(BUILD / "lib" / "appd" / "appd_zygote.py"), "serve", "--bind", f"127.0.0.1:{port}"]
        command += ["--app", "wsgi:app", "--threads", "1"]
        process = subprocess.Popen(command, cwd=APP, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: process.poll() is not None or not http.refused(port), "the worker listens", 120)
            load = [str(LOADGEN), "--plain", "--connections", "1", "--requests", str(requests), f"http://127.0.0.1:{port}/"]
            subprocess.run(load, check=True, capture_output=True)
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=120)
        files = list(Path(folder).glob("callgrind.*"))
        totals = [int(found[1]) for file in files if (found := re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.M))]
        if not totals:
            raise AssertionError(f"callgrind has counted nothing:\n{errors[-2000:]}")
        return sum(totals)


def main() -> None:
    report = Report(
        "instructions",
        f"hello-world WSGI, one keep-alive connection, callgrind (user mode); (Ir of {MANY} requests − Ir of {FEW}) ÷ {MANY - FEW}",
        ["what", "instructions/request"],
    )
    each = (instructions(MANY) - instructions(FEW)) / (MANY - FEW)
    report.row("appd worker, sync", f"{each:,.0f}")
    report.figures["instructions"] = each
    report.target("user-mode instructions a request", each, TARGET, at_least=False)
    report.finish()
