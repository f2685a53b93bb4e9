"""Where things are: the checkout, the build to test, Debian's Python."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
BUILD = Path(os.environ.get("APPD_BUILD", ROOT / "build")).resolve()
APPD = BUILD / "bin" / "appd"
APPCTL = BUILD / "bin" / "appctl"
LOADGEN = BUILD / "bin" / "loadgen"
EXAMPLES = ROOT / "examples"
APPS = ROOT / "tests" / "e2e" / "apps"
PYTHON = "/usr/bin/python3"
