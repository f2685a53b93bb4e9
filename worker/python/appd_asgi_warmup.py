"""Requests to an ASGI app before the first fork, so that what it fills lazily is filled once for all workers."""

import asyncio
import gc
import os
import sys
import time
import traceback
import types
import weakref
from urllib.parse import unquote_to_bytes

# What a request leaves behind may take so long to end by itself.
GRACE = 2.0


def warm_up(app, paths, root_path):
    """What was left behind that a fork would break, or ""."""
    return WarmUp(app, root_path).request_all(paths)


def report(path, error):
    print(f"level=warn event=warm_up_failed path={path!r}", file=sys.stderr)
    traceback.print_exception(error)


class WarmUp:
    """Runs an app on a loop that is thrown away. What the app keeps of that loop would be of no use in a worker: its
    tasks are gone there, and what waits on it never wakes up."""

    def __init__(self, app, root_path):
        self.app = app
        self.root_path = root_path
        self.left = []  # tasks that did not end by themselves

    def request_all(self, paths):
        threads = count_threads()
        loop = asyncio.new_event_loop()
        try:
            sys.modules["appd_loops"].run_asyncio(self.request_each(paths), loop)
        except BaseException as error:  # of a task of the app's own: nothing may end us here
            report(" ".join(paths), error)
        if self.left:
            count = len(self.left)
            plural = "task" if count == 1 else "tasks"
            return f"the warm-up requests left {count} {plural} running ({', '.join(self.left)})"
        replace_asgirefs_thread()
        # Those of a pool that was told to go; their last frames refer to the loop too.
        deadline = time.monotonic() + GRACE
        while count_threads() > threads and time.monotonic() < deadline:
            time.sleep(0.001)
        kept = weakref.ref(loop)
        del loop
        if kept() is not None:
            gc.collect()
        if names := holders(kept()):
            return f"the warm-up requests left what belongs to their event loop ({', '.join(names[:3])})"
        return ""

    async def request_each(self, paths):
        ours = asyncio.all_tasks()
        for path in paths:
            await asyncio.create_task(self.request(path))
        deadline = time.monotonic() + GRACE
        while (others := asyncio.all_tasks() - ours) and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait(others, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        self.left = sorted(getattr(task.get_coro(), "__qualname__", task.get_name()) for task in others)

    async def request(self, path):
        answered = asyncio.Event()
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive():
            if not messages:
                await answered.wait()
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered.set()

        try:
            await self.app(self.scope(path), receive, send)
        except BaseException as error:
            report(path, error)

    def scope(self, path):
        path, _, query = path.partition("?")
        raw_path = (self.root_path + path).encode()
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": unquote_to_bytes(raw_path).decode("utf-8", "replace"),
            "raw_path": raw_path,
            "query_string": query.encode(),
            "root_path": self.root_path,
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
            "extensions": {},
        }


def replace_asgirefs_thread():
    """Django's synchronous parts run in one thread that asgiref keeps for good. Its next use makes another one."""
    sync = sys.modules.get("asgiref.sync")
    executor = getattr(getattr(sync, "SyncToAsync", None), "single_thread_executor", None)
    if executor is not None:
        executor.shutdown()
        sync.SyncToAsync.single_thread_executor = type(executor)(max_workers=1)


def count_threads():
    return len(os.listdir("/proc/self/task"))


def holders(loop):
    """The kinds of objects that refer to it, but for tasks that are over (anyio keeps the first one of each loop)."""
    kinds = set()
    for one in gc.get_referrers(loop) if loop else ():
        if isinstance(one, types.FrameType) or (asyncio.isfuture(one) and one.done()):
            continue
        # What is an object's own dict goes under the object's name.
        owners = [owner for owner in gc.get_referrers(one) if getattr(owner, "__dict__", None) is one]
        kinds.update(type(owner).__name__ for owner in owners or [one])
    return sorted(kinds)
