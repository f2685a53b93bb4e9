"""The event loops that serve a worker's engine: asyncio and uvloop, gevent's hub, eventlet's, tornado's.

The engine is one descriptor that a loop watches. When it is readable the loop calls tick(), which
takes requests and begins to answer them.
"""

import asyncio
import importlib
import sys
import traceback

serving_loop = None  # asyncio's or uvloop's that serves here


def asgi_app(worker_class, app):
    """The ASGI app to run for the class; None if it calls a WSGI app."""
    if worker_class == "tornado":
        return sys.modules["appd_tornado"].adapter(app)
    return app if worker_class == "asgi" else None


class StartFailed(Exception):
    """The app does not want to start; the message says why."""


def serve(worker_class, options, app, fd, calls):
    """Serves until the engine is drained. None, or (summary, traceback) if it never began."""
    begin, tick = calls
    try:
        if worker_class == "asgi":
            loop, lifespan = options.split(",")
            run_asyncio(serve_asgi(app, Lifespan(app, lifespan), fd, begin, tick), new_loop(loop))
        elif worker_class == "tornado":
            run_asyncio(serve_until_drained(fd, begin, tick, None), asyncio.new_event_loop())
        elif worker_class == "gevent":
            serve_gevent(fd, begin, tick)
        else:
            serve_eventlet(fd, begin, tick)
    except StartFailed as failed:
        return str(failed.args[0]), failed.args[1]
    return None


# ---- asyncio


def new_loop(kind):
    if kind != "asyncio":
        try:
            return importlib.import_module("uvloop").new_event_loop()
        except ImportError as error:
            if kind == "uvloop":  # not known before, if the class is found out
                missing = sys.modules["appd_classes"].missing
                raise StartFailed(missing("uvloop", "python3-uvloop", error), "") from None
    return asyncio.new_event_loop()


def run_asyncio(main, loop):
    """As asyncio.run(), which would take the signals that are the engine's."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        try:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


async def serve_asgi(app, lifespan, fd, begin, tick):
    await lifespan.startup()
    await serve_until_drained(fd, begin, tick, lifespan.state if lifespan.running else None)
    await lifespan.shutdown()


async def serve_until_drained(fd, begin, tick, state):
    global serving_loop
    serving_loop = loop = asyncio.get_running_loop()
    drained = asyncio.Event()
    begin(loop, state, None, drained.set)
    loop.add_reader(fd, tick)
    tick()
    await drained.wait()
    loop.remove_reader(fd)


class Lifespan:
    """The app's lifespan (ASGI 3.0, lifespan protocol 2.0)."""

    def __init__(self, app, mode):
        self.app = app
        self.mode = mode
        self.state = {}
        self.running = False
        self.to_app = asyncio.Queue()
        self.started = None
        self.stopped = None
        self.failure = None

    async def startup(self):
        if self.mode == "off":
            return
        loop = asyncio.get_running_loop()
        self.started, self.stopped = loop.create_future(), loop.create_future()
        self.task = loop.create_task(self.run())
        self.to_app.put_nowait({"type": "lifespan.startup"})
        self.running = await self.started
        if self.failure:
            raise StartFailed(*self.failure)

    async def shutdown(self):
        if not self.running:
            return
        self.to_app.put_nowait({"type": "lifespan.shutdown"})
        await self.stopped
        await self.task

    async def run(self):
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self.to_app.get, self.take)
        except Exception as error:
            if self.started.done():
                traceback.print_exc()
            elif self.mode == "on":
                self.fail(f"lifespan startup raised {type(error).__name__}: {error}", traceback.format_exc())
            # else: the app does not know lifespans
        for future in (self.started, self.stopped):
            if not future.done():
                future.set_result(False)

    async def take(self, message):
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self.started.set_result(True)
        elif kind == "lifespan.startup.failed":
            text = message.get("message", "").strip()
            summary = text.splitlines()[-1] if text else "no message"
            self.fail(f"lifespan startup failed: {summary}", text)
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            if kind.endswith("failed"):
                print(f"level=error event=lifespan_shutdown_failed message={message.get('message', '')!r}", file=sys.stderr)
            if not self.stopped.done():
                self.stopped.set_result(True)
        else:
            raise RuntimeError(f"unknown message type {kind!r} for a lifespan")

    def fail(self, summary, text):
        self.failure = (summary, text)
        self.started.set_result(False)


# ---- greenlets


def spawner(greenlet, hub):
    # Begun at once, in the turn of the hub that tick() runs in: most requests never wait.
    def spawn(run):
        begun = greenlet(run, hub)
        begun.switch()
        return begun

    return spawn


def serve_gevent(fd, begin, tick):
    gevent = importlib.import_module("gevent")
    greenlet = importlib.import_module("greenlet").greenlet
    hub = gevent.get_hub()
    drained = importlib.import_module("gevent.event").Event()
    begin(None, None, spawner(greenlet, hub), drained.set)
    watcher = hub.loop.io(fd, 1)
    watcher.start(tick)
    hub.loop.run_callback(tick)
    drained.wait()
    watcher.stop()


def serve_eventlet(fd, begin, tick):
    hubs = importlib.import_module("eventlet.hubs")
    greenlet = importlib.import_module("greenlet").greenlet
    hubs.use_hub()  # the zygote's must not be shared
    hub = hubs.get_hub()
    drained = importlib.import_module("eventlet.event").Event()
    begin(None, None, spawner(greenlet, hub.greenlet), drained.send)
    listener = hub.add(hub.READ, fd, lambda _: tick(), lambda *_: None, lambda: None)
    hub.schedule_call_global(0, tick)
    drained.wait()
    hub.remove(listener)
