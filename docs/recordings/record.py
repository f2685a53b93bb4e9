"""Makes the recordings beside this file: appd, its apps and a person at a terminal, all of them real.

Run it by `scripts/dev record`. It works in a mount namespace of its own, where /srv, /run and /var/lib are empty, so that
appd and its apps are where they usually are and nothing of this host is touched or shown.
"""

import html
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness.paths import APPD, EXAMPLES, LOADGEN, PYTHON  # noqa: E402
from harness.terminal import Terminal  # noqa: E402
from harness.waiting import wait_until  # noqa: E402

PROMPT = "$ "
SGR = re.compile(r"\x1b\[([\d;]*)m")
LOOK = 0.05  # between two looks at the screen
LAST = 4.0  # seconds that the last picture stays


@dataclass
class Recording:
    """What was seen on one terminal, and for how long."""

    name: str
    title: str
    width: int = 100
    height: int = 24
    frames: list[tuple[float, str]] = field(default_factory=list)

    def __enter__(self) -> "Recording":
        path = f"{APPD.parent}:/usr/bin:/bin"
        self.terminal = Terminal(
            ["bash", "--norc", "--noprofile"], self.width, self.height, PS1=PROMPT, PATH=path, HOME="/srv"
        )
        self.terminal.wait_for(PROMPT.strip())
        self.began = time.monotonic()
        return self

    def __exit__(self, *failure: object) -> None:
        self.terminal.close()
        if failure[0] is None:
            (HERE / f"{self.name}.txt").write_text(as_text(self))
            (HERE / f"{self.name}.svg").write_text(as_svg(self))

    def look(self) -> str:
        screen = self.terminal.screen(colours=True).rstrip("\n")
        if not self.frames or self.frames[-1][1] != screen:
            self.frames.append((time.monotonic() - self.began, screen))
        return SGR.sub("", screen)

    def until(self, seen: Callable[[str], bool], what: str) -> None:
        def look() -> bool:
            time.sleep(LOOK)
            return seen(self.look())

        wait_until(look, what, timeout=60)

    def stay(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda _: time.monotonic() > end, "time goes by")

    def press(self, key: str, seconds: float) -> None:
        self.terminal.press(key)
        self.stay(seconds)

    def run(self, command: str) -> None:
        """Types a command and waits for its end: for the next prompt."""
        prompts = self.look().count(f"\n{PROMPT.strip()}") + 1
        self.terminal.press(command)
        self.stay(0.5)
        self.terminal.press("Enter")
        self.until(lambda screen: screen.count(f"\n{PROMPT.strip()}") >= prompts, f"the end of {command}")
        self.stay(0.5)


def as_text(recording: Recording) -> str:
    out = f"{recording.title}\nMade from the real programs by scripts/dev record.\n"
    screens = ["".join(f"{line.rstrip()}\n" for line in SGR.sub("", one).splitlines()) for _, one in recording.frames]
    for (at, _), screen, after in zip(recording.frames, screens, [*screens[1:], ""], strict=True):
        if not after.startswith(screen.rstrip()):  # else that shows this one as well
            out += f"\n──── {at:.1f} s\n{screen}"
    return out


# --- pictures ----------------------------------------------------------------------------------

CELL = 8.4
LINE = 18
COLOURS = {31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 36: "#79c0ff"}
INK = "#e6edf3"
PAPER = "#0d1117"


def runs(screen: str) -> Iterator[tuple[int, int, str, set[int]]]:
    """Pieces that look the same: row, column, text, and what is in force, which goes on from line to line."""
    row = column = 0
    active: set[int] = set()
    for index, piece in enumerate(SGR.split(screen)):
        if index % 2 == 0:
            for number, text in enumerate(piece.split("\n")):
                if number > 0:
                    row, column = row + 1, 0
                if text:
                    yield row, column, text, set(active)
                column += len(text)
            continue
        for code in map(int, piece.split(";") if piece else ["0"]):
            if code == 0:
                active.clear()
            elif code == 22:
                active -= {1, 2}
            elif code == 27:
                active.discard(7)
            elif 30 <= code <= 39:
                active = {one for one in active if one < 30} | ({code} - {39})
            else:
                active.add(code)


def paint(row: int, column: int, text: str, look: set[int]) -> str:
    ink = next((COLOURS[one] for one in look if one in COLOURS), INK)
    x, y, width = column * CELL, row * LINE, len(text) * CELL
    box = ""
    if 7 in look:
        box = f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{LINE}" fill="{ink}"/>'
        ink = PAPER
    if not text.strip():
        return box
    style = (' font-weight="bold"' if 1 in look else "") + (' opacity="0.6"' if 2 in look else "")
    return (
        f'{box}<text x="{x:.1f}" y="{y + 13}" textLength="{width:.1f}" fill="{ink}"{style}>{html.escape(text)}</text>'
    )


def as_svg(recording: Recording) -> str:
    """All frames above one another; each is visible in its turn, again and again."""
    width, height = recording.width * CELL, recording.height * LINE
    begins = [at for at, _ in recording.frames]
    whole = begins[-1] + LAST
    style, body = "", ""
    for index, (_, screen) in enumerate(recording.frames):
        begin = 0.0 if index == 0 else 100 * begins[index] / whole
        end = 100.0 if index + 1 == len(begins) else 100 * begins[index + 1] / whole
        hidden = "0%{visibility:hidden}" if index else ""
        style += f"@keyframes k{index}{{{hidden}{begin:.2f}%{{visibility:visible}}{end:.2f}%{{visibility:hidden}}}}"
        style += f"#f{index}{{animation:k{index} {whole:.1f}s step-end infinite}}\n"
        pieces = "".join(paint(*run) for run in runs(screen))
        visibility = "" if index + 1 == len(begins) else ' visibility="hidden"'  # where nothing moves, the last one
        body += f'<g id="f{index}"{visibility}>{pieces}</g>\n'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -10 {width + 20:.0f} {height + 20}">\n'
        f"<title>{html.escape(recording.title)}</title>\n<style>\n"
        "text{font-size:14px;font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre}\n"
        f"{style}</style>\n"
        f'<rect x="-10" y="-10" width="{width + 20:.0f}" height="{height + 20}" rx="8" fill="{PAPER}"/>\n{body}</svg>\n'
    )


# --- what is recorded --------------------------------------------------------------------------


def appctl(*arguments: str) -> str:
    done = subprocess.run([APPD.parent / "appctl", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def load(port: int, path: str, connections: int, think: int) -> subprocess.Popen[bytes]:
    command = [LOADGEN, "--connections", str(connections), "--think", str(think), f"http://127.0.0.1:{port}{path}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def record_top() -> None:
    loads = [load(8000, "/slow?ms=15", 6, 40), load(8001, "/", 4, 30)]
    try:
        with Recording("top", "appctl top: workers, a pool that grows, a reload under load", 112, 16) as seen:
            seen.terminal.press("appctl top", "Enter")
            seen.until(lambda screen: "req/s" in screen, "there are figures")
            seen.stay(2)
            seen.press("w", 2)
            seen.press("Down", 0.3)
            seen.press("Down", 0.3)
            seen.press("Down", 0.7)
            seen.press("+", 0.3)
            seen.press("+", 0.3)
            seen.until(lambda screen: "scale done" in screen, "the pool has grown")
            seen.stay(2)
            seen.press("r", 0.3)
            seen.until(lambda screen: "reload done" in screen, "the code is loaded anew")
            seen.stay(2)
            seen.press("q", 0.5)
    finally:
        for one in loads:
            one.terminate()
            one.wait()


def record_scale() -> None:
    with Recording("scale", "A scale with its progress, of an app that imports slowly in each worker", height=14) as seen:
        seen.run("appctl scale site --workers 6")
        seen.run("appctl workers site")


def record_refused() -> None:
    with Recording("refused", "A deploy that is refused: what served before serves on", height=26) as seen:
        seen.run("curl http://127.0.0.1:8000/version")
        seen.run("sed -i 's/^import os/import os, stirpe/' shop/wsgi.py")
        seen.run('appctl reload shop --reason "release 43"')
        seen.run("echo $?")
        seen.run("curl http://127.0.0.1:8000/version")
        seen.run("appctl list")


def inside() -> None:
    for place in ("/srv", "/run", "/var/lib"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    os.chdir("/srv")
    shutil.copytree(EXAMPLES / "flask_hello", "/srv/shop")
    shutil.copytree(EXAMPLES / "django_site", "/srv/site")
    with open("/run/appd.log", "wb") as log:
        appd = subprocess.Popen([APPD], stdout=log, stderr=log)
    try:
        wait_until(lambda: Path("/run/appd/appd.sock").exists(), "appd listens")
        appctl("create", "shop", "--directory", "shop", "--app", "wsgi:app", "--bind", "127.0.0.1:8000", "--workers", "2")
        appctl("create", "site", "--directory", "site", "--app", "wsgi:application", "--bind", "127.0.0.1:8001",
               "--workers", "2", "--preload", "off")  # fmt: skip
        appctl("create", "mailer", "--directory", "shop", "--command", "sleep 86400")
        record_top()
        record_scale()
        record_refused()
    finally:
        appd.send_signal(signal.SIGTERM)
        appd.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["--inside"]:
        inside()
    else:
        os.execvp("unshare", ["unshare", "--map-root-user", "--mount", PYTHON, __file__, "--inside"])
