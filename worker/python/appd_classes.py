"""Worker classes: which libraries they need, and which apps they take."""

import functools
import importlib
import sys

CO_COROUTINE = 0x80  # of a code object, as in inspect

# What a class needs in the app's Python, and Debian's package of it.
LIBRARIES = {
    "gevent": ("gevent", "python3-gevent"),
    "eventlet": ("eventlet", "python3-eventlet"),
    "tornado": ("tornado", "python3-tornado"),
}


def prepare(worker_class, loop):
    """Before the app is imported: why the class cannot serve here, or ""."""
    needed = LIBRARIES.get(worker_class)
    if worker_class == "asgi" and loop == "uvloop":
        needed = ("uvloop", "python3-uvloop")
    if needed:
        try:
            importlib.import_module(needed[0])
        except ImportError as error:
            return missing(*needed, error)
    if worker_class == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
    elif worker_class == "eventlet":
        importlib.import_module("eventlet").monkey_patch()
    return ""


def close_idle_hub():
    """What importing leaves of eventlet's hub would be in the way of forks; each worker makes its own."""
    hubs = sys.modules.get("eventlet.hubs")
    hub = getattr(hubs._threadlocal, "hub", None) if hubs else None
    poll = getattr(hub, "poll", None)
    if poll is None or hub.get_readers() or hub.get_writers() or hub.timers or hub.next_timers:
        return
    hubs.use_hub()
    poll.close()


def missing(name, package, error):
    what = f"loop {name}" if name == "uvloop" else f"worker class {name}"
    return (
        f"{what} needs the package {name} in the app's Python, {sys.executable}: "
        f"pip install {name}, or Debian's {package} ({error})"
    )


def class_of(app, worker_class):
    """The class that serves this app ("auto" decided), and "", or what is wrong with the one asked for."""
    if is_tornado(app):
        if worker_class in ("auto", "tornado"):
            return "tornado", ""
        return "", f"worker class {worker_class} is not for tornado's own apps, as this one is: use auto or tornado"
    asgi = is_asgi(app)
    if worker_class == "auto":
        return ("asgi" if asgi else "sync"), ""
    if worker_class == "asgi" and not asgi and not may_be_asgi(app):
        return "", "worker class asgi is for ASGI apps, and this one is WSGI: use auto, sync, gthread or gevent"
    if asgi and worker_class != "asgi":
        return "", f"worker class {worker_class} is for WSGI apps, and this one is ASGI: use auto or asgi"
    return worker_class, ""


def is_tornado(app):
    """tornado's Application, a Router of its, or anything else that its HTTP server takes."""
    httputil = sys.modules.get("tornado.httputil")
    return httputil is not None and isinstance(app, httputil.HTTPServerConnectionDelegate)


def is_asgi(app):
    """ASGI 3.0: the callable, or its __call__, is a coroutine function."""
    while isinstance(app, functools.partial):
        app = app.func
    if isinstance(app, type):
        return False
    return any(is_coroutine_function(one) for one in (app, getattr(type(app), "__call__", None)))


def is_coroutine_function(function):
    # inspect has it too, and costs every WSGI worker its import.
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def may_be_asgi(app):
    """Not a coroutine function, but takes scope, receive and send, and so may return a coroutine."""
    import inspect

    try:
        inspect.signature(app).bind(None, None, None)
    except TypeError:
        return False
    except ValueError:  # has no signature
        pass
    return True
