"""appctl as somebody calls it from elsewhere."""

import os
import subprocess
from pathlib import Path

from harness.appd import Outcome
from harness.paths import APPCTL


class Caller:
    """With flags of its own, and an environment that says nothing else about appd."""

    def __init__(self, address: str, *flags: str, token: str = "") -> None:
        self.command = [str(APPCTL), "--address", address, *flags]
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("APPD_")}
        if token:
            self.environment["APPD_TOKEN"] = token

    def __call__(self, *arguments: str) -> Outcome:
        done = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, timeout=90, env=self.environment
        )
        return Outcome(arguments, done.returncode, done.stdout, done.stderr)

    def follow(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.command, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )


def token_of(outcome: Outcome) -> str:
    """What `appctl token create` has shown."""
    secret = outcome.stdout.strip()
    assert secret.startswith("appd_") and len(secret) == 48, outcome.output
    return secret


def hidden_in(folder: Path, secret: str) -> list[Path]:
    """The files that have it in them."""
    return [file for file in folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
