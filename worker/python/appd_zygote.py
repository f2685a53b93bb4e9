"""Entry of an app's own interpreter: the zygote that appd starts, and what is easier said in Python.

    PYTHON -P appd_zygote.py zygote APP rollout N --fd 3
        Started by appd. Descriptor 3 is a listening SOCK_SEQPACKET socket on which appd speaks the
        messages of common/messages.h.

    PYTHON -P appd_zygote.py serve --bind 127.0.0.1:8000 --app module:callable [--threads N]
        [--worker-class CLASS]
        One worker in the foreground, without appd and without fork: for debugging and profilers.

The machinery is the extension module beside this file; the functions here are called by it.
"""

import argparse
import ast
import atexit
import gc
import importlib.machinery
import importlib.util
import io
import os
import socket
import stat
import sys
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_TRACEBACK = 32 * 1024
_environment = dict(os.environ)  # before an app could change it


def load_extension():
    path = os.path.join(HERE, "appd_worker.abi3.so")
    loader = importlib.machinery.ExtensionFileLoader("appd_worker", path)
    spec = importlib.util.spec_from_file_location("appd_worker", path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


# ---- loading an app


def load(directory, app_uri):
    """Imports "module:callable" or "module:factory('prod', debug=True)"; "module" alone is
    "module:application". (app, False, "", "") or (None, not_found, summary, traceback)."""
    module_name, _, expression = app_uri.partition(":")
    if not sys.path or sys.path[0] != directory:
        sys.path.insert(0, directory)
    try:
        path, arguments = parse_callable(expression or "application")
        app = find(importlib.import_module(module_name), path)
        if arguments is not None and callable(app):
            app = app(*arguments[0], **arguments[1])
        elif arguments is not None:
            raise NoSuchApp(f"{module_name}:{path} is no factory but {type(app).__name__}")
        if not callable(app) and not import_beside("appd_classes").is_tornado(app):
            raise NoSuchApp(f"{app_uri!r} is not callable but {type(app).__name__}")
    except NoSuchApp as error:
        return None, True, str(error), ""
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: nothing may end us here
        return None, False, summary_of(error), traceback_of(error)
    return app, False, "", ""


class NoSuchApp(Exception):
    """The app's address leads to nothing that can be called."""


def parse_callable(expression):
    """"site.make('prod', debug=True)" is ("site.make", (["prod"], {"debug": True})), and without
    a call the second is None. Arguments are literals: nothing of an address is ever evaluated."""
    try:
        node = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise NoSuchApp(f"{expression!r} is neither a name nor a call of one") from None
    arguments = None
    if isinstance(node, ast.Call):
        try:
            named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            arguments = [ast.literal_eval(value) for value in node.args], named
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            arguments = None
        if arguments is None or None in named:  # **mapping has no name
            why = "the arguments of a factory are literals: 'text', 3, True, None, [...], {...}"
            raise NoSuchApp(f"cannot call {expression!r}: {why}")
        node = node.func
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise NoSuchApp(f"{expression!r} is neither a name nor a call of one")
    return ".".join([node.id, *reversed(names)]), arguments


def find(module, path):
    found = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            usual = ("application", "app", "create_app", "make_app")
            others = [each for each in usual if callable(getattr(module, each, None))]
            hint = f"; it has {', '.join(map(repr, others))}" if others else ""
            raise NoSuchApp(f"module {module.__name__!r} has no {path!r}{hint}") from None
    return found


def summary_of(error):
    lines = traceback.format_exception_only(type(error), error)
    return lines[-1].strip()[:1000]


def traceback_of(error):
    """The traceback as the app's author wants it: without our frames and importlib's."""
    trace = traceback.TracebackException.from_exception(error)
    pending = [trace]
    while pending:
        one = pending.pop()
        kept = [frame for frame in one.stack if not is_foreign(frame.filename)]
        one.stack = traceback.StackSummary.from_list(kept)
        pending += [linked for linked in (one.__cause__, one.__context__) if linked]
    text = "".join(trace.format())
    if len(text) > MAX_TRACEBACK // 2:  # the ends tell most; characters may take several bytes
        half = MAX_TRACEBACK // 4
        text = f"{text[:half]}\n  [...]\n{text[-half:]}"
    return text


def is_foreign(filename):
    return (
        filename == __file__
        or filename.startswith("<frozen importlib")
        or filename.endswith(os.path.join("importlib", "__init__.py"))
    )


# ---- worker classes


def import_beside(name):
    """A module of ours, by its file: our directory is not on sys.path."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, os.path.join(HERE, f"{name}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def prepare_class(worker_class, loop):
    """Before the app is imported: why the class cannot serve here, or ""."""
    return import_beside("appd_classes").prepare(worker_class, loop)


def class_of(app, worker_class):
    """The class that serves this app, and "" or what is wrong with the one that was asked for."""
    worker_class, problem = import_beside("appd_classes").class_of(app, worker_class)
    import_beside("appd_stacks")  # before the fork, as the next ones
    if worker_class not in ("", "sync", "gthread"):
        import_beside("appd_loops")
    if worker_class == "tornado":
        import_beside("appd_tornado")
    return worker_class, problem


# ---- before the first fork


def warm_up(app, worker_class, paths, root_path):
    """Requests each path from the app, so that what it fills lazily is filled before the fork. What that left behind
    that a fork would break, or ""; fork_hazard() sees the rest."""
    if worker_class == "asgi":
        return import_beside("appd_asgi_warmup").warm_up(app, paths, root_path)
    if import_beside("appd_classes").is_tornado(app):
        print('level=warn event=warm_up_skipped reason="tornado apps need the loop of a worker"', file=sys.stderr)
        return ""
    for path in paths:
        try:
            request(app, path, root_path)
        except BaseException as error:
            print(f"level=warn event=warm_up_failed path={path!r}", file=sys.stderr)
            traceback.print_exception(error)
    return ""


def request(app, path, root_path):
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": root_path,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }

    def start_response(status, headers, exc_info=None):
        return lambda chunk: None

    result = app(environ, start_response)
    try:
        for _ in result:
            pass
    finally:
        if hasattr(result, "close"):
            result.close()


def fork_hazard(own_descriptors, culprit):
    """Why a fork of this process would not be a faithful copy; "" if nothing is known against it."""
    if "appd_classes" in sys.modules:
        sys.modules["appd_classes"].close_idle_hub()
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        names = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        count = threads - 1
        plural = "thread" if count == 1 else "threads"
        return f"{culprit} left {count} {plural} running ({', '.join(names) or 'not Python'})"
    asyncio = sys.modules.get("asyncio")
    if asyncio and asyncio._get_running_loop() is not None:
        return f"{culprit} left an event loop running"
    for entry in os.listdir("/proc/self/fd"):
        hazard = descriptor_hazard(int(entry), own_descriptors)
        if hazard:
            return f"{culprit} left {hazard}"
    return ""


def descriptor_hazard(fd, own_descriptors):
    if fd <= 2 or fd in own_descriptors:
        return ""
    try:
        if os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[eventpoll]":
            return f"an event loop behind (epoll, descriptor {fd})"
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return ""
        with socket.socket(fileno=os.dup(fd)) as copy:
            return f"a socket connected to {copy.getpeername()!r}"
    except OSError:  # closed meanwhile, or not connected
        return ""


def freeze():
    # No collection before: it would leave holes in the pages that all workers share, and each
    # worker would fill them with its own objects (gc.freeze in the library's reference).
    gc.freeze()
    import_beside("appd_streams").flush()


def exec_again(resume_fd):
    """Begins again in this process, with nothing of the app in it."""
    os.set_inheritable(resume_fd, True)
    # argv[0] is the whole path: a venv is recognized by it.
    arguments = [sys.executable, *sys.orig_argv[1:], f"--resume={resume_fd}"]
    os.execve(sys.executable, arguments, _environment)


# ---- what a worker is at


def offer_stacks(fd, signum):
    import_beside("appd_stacks").offer(fd, signum)


def write_tasks(fd):
    import_beside("appd_stacks").write_tasks(fd)


# ---- the two ways to run


def leave(status):
    """Ends the process as an interpreter does, but for the teardown that nobody needs."""
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(status)


def listening_socket(bind):
    host, _, port = bind.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=2048)


def main():
    parser = argparse.ArgumentParser(prog="appd_zygote")
    commands = parser.add_subparsers(dest="command", required=True)
    zygote = commands.add_parser("zygote")
    zygote.add_argument("app")
    zygote.add_argument("word", choices=["rollout"])
    zygote.add_argument("rollout", type=int)
    zygote.add_argument("--fd", type=int, default=3)
    zygote.add_argument("--resume", type=int, default=-1)
    serve = commands.add_parser("serve")
    serve.add_argument("--bind", default="127.0.0.1:8000")
    serve.add_argument("--app", required=True)
    serve.add_argument("--directory", default=os.getcwd())
    serve.add_argument("--threads", type=int, default=1)
    serve.add_argument("--worker-class", default="auto")
    arguments = parser.parse_args()
    sys.argv = [sys.argv[0]]  # the app has no arguments

    worker = load_extension()
    hooks = sys.modules[__name__]
    if arguments.command == "zygote":
        import_beside("appd_streams").install(worker)
        leave(worker.run_zygote(hooks, arguments.fd, arguments.resume))
    listener = listening_socket(arguments.bind)
    leave(
        worker.run_single(
            hooks,
            listener.detach(),
            arguments.directory,
            arguments.app,
            arguments.threads,
            arguments.worker_class,
        )
    )


if __name__ == "__main__":
    main()
