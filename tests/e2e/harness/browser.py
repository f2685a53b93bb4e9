"""A headless Chromium, driven over the DevTools protocol: pages that are clicked in and looked at."""

import asyncio
import base64
import json
import os
import re
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

import websockets

from harness import processes
from harness.waiting import wait_until

TIMEOUT = 20.0

# Resolves with the expression's value once that is true; looks again whenever the page has changed.
WAIT = """
new Promise((resolve, reject) => {
  const look = () => {
    const value = (%s);
    if (!value) return;
    observer.disconnect();
    resolve(value);
  };
  const observer = new MutationObserver(look);
  observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
  setTimeout(() => reject(new Error("waited in vain; the page says: " + document.body.innerText)), %d);
  look();
})
"""


class Browser:
    """One Chromium with a profile of its own. As a context manager: nothing of it is left afterwards."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "chromium.log"
        self._profile = folder / "profile"
        self._loop = asyncio.new_event_loop()
        self._numbers = iter(range(1, 1 << 30))

    def __enter__(self) -> "Browser":
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        options += ["--remote-debugging-port=0", f"--user-data-dir={self._profile}", "about:blank"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(["chromium", *options], stdout=log, stderr=log)
        address = wait_until(self._address, "Chromium says where it listens", TIMEOUT)
        self._socket = self._loop.run_until_complete(self._connect(address))
        return self

    async def _connect(self, address: str) -> Any:
        return await websockets.connect(address, max_size=None, open_timeout=TIMEOUT, ping_interval=None)

    def _address(self) -> str | None:
        assert self._process.poll() is None, self._log.read_text()
        found = re.search(r"DevTools listening on (ws://\S+)", self._log.read_text())
        return found[1] if found else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        family = self._family()
        try:
            self.call("Browser.close")
            self._process.wait(TIMEOUT)
        finally:
            self._process.kill()
            self._process.wait()
            processes.kill_for_good(family)
            wait_until(lambda: not any(one.alive() for one in family), "Chromium is gone")
            self._loop.run_until_complete(self._socket.close())
            self._loop.close()

    def _family(self) -> list[processes.Process]:
        """Not all of them descend from the first one: some are made to be orphans."""
        return [one for one in processes.descendants(os.getpid()) if str(self._profile) in one.command_line()]

    def open(self, url: str) -> "Page":
        """A new window, with the page loaded."""
        target = self.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable", session)
        self.call("Page.navigate", session, until="Page.loadEventFired", url=url)
        return Page(self, session)

    def call(self, method: str, session: str | None = None, until: str | None = None, **parameters: Any) -> Any:
        """What the method answers; if `until` names an event, after that."""
        call = self._call(method, session, until, parameters)
        return self._loop.run_until_complete(asyncio.wait_for(call, 2 * TIMEOUT))

    async def _call(self, method: str, session: str | None, until: str | None, parameters: dict[str, Any]) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        result = None
        while result is None or until is not None:
            answer = json.loads(await self._socket.recv())
            assert "error" not in answer, answer
            if answer.get("id") == number:
                result = answer["result"]
            elif answer.get("method") == until and answer.get("sessionId") == session:
                until = None
        return result


class Page:
    """One window. Expressions are JavaScript."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def evaluate(self, expression: str) -> Any:
        answer = self._browser.call(
            "Runtime.evaluate", self._session, expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        return self.evaluate(WAIT % (expression, TIMEOUT * 1000))

    def click(self, selector: str) -> None:
        """As a hand does it: in the middle of what is there."""
        where = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        box = self.evaluate(where)
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self._browser.call(
                "Input.dispatchMouseEvent", self._session, type=kind, button="left", clickCount=1, **place
            )

    def screenshot(self, file: Path) -> None:
        """For the eyes of whoever writes a test."""
        image = self._browser.call("Page.captureScreenshot", self._session)["data"]
        file.write_bytes(base64.b64decode(image))
