"""A terminal that a program runs in: tmux's, so what is seen is what a person sees."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from harness.waiting import wait_until


class Terminal:
    """One program in one window, until close()."""

    def __init__(self, command: list[str], width: int = 120, height: int = 24, **environment: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="appd-tmux-")
        self.socket = str(Path(self.folder.name) / "s")
        words = ["env", *(f"{name}={value}" for name, value in environment.items()), *command]
        # What the program ends with stays to be read.
        line = shlex.join(words) + '; echo "exit=$?"; exec sleep 600'
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("TMUX", "NO_COLOR"))}
        subprocess.run(
            ["tmux", "-S", self.socket, "-f", "/dev/null", "-u", "new-session", "-d", "-x", str(width), "-y", str(height), line],
            check=True, env={**clean, "TERM": "xterm-256color"},
        )  # fmt: skip

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def screen(self, colours: bool = False) -> str:
        return self._tmux("capture-pane", "-p", *(("-e",) if colours else ()))

    def press(self, *keys: str) -> None:
        """As tmux names them: "q", "+", "Down", "C-c"."""
        self._tmux("send-keys", *keys)

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def wait_for(self, text: str, timeout: float = 30.0) -> str:
        """Waits until it is seen; the screen then."""
        return wait_until(lambda: shown if text in (shown := self.screen()) else None, f"{text!r} is seen", timeout)

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, check=False)
        self.folder.cleanup()
