"""sys.stdout and sys.stderr of an app, on top of the extension's writes: whole lines, with the prefix
of the app's log, and no error when a disk is full."""

import io
import sys


class _Raw(io.RawIOBase):
    def __init__(self, descriptor):
        self._descriptor = descriptor
        self.name = "<stdout>" if descriptor == 1 else "<stderr>"
        self.mode = "wb"

    def fileno(self):
        return self._descriptor

    def writable(self):
        return True

    def close(self):
        """Stays open, as descriptors 1 and 2 do."""


def install(worker):
    """Text is written at the end of each line: print() is one write, and a killed worker takes no
    whole line along. `buffer` is unbuffered, as with PYTHONUNBUFFERED."""
    # Builtin functions do not bind: each call goes straight from Python's C code into ours.
    stdout = type("Stdout", (_Raw,), {"write": worker.write_stdout})(1)
    stderr = type("Stderr", (_Raw,), {"write": worker.write_stderr})(2)
    sys.stdout = sys.__stdout__ = _text(stdout, sys.__stdout__, "strict")
    sys.stderr = sys.__stderr__ = _text(stderr, sys.__stderr__, "backslashreplace")


def _text(raw, former, errors):
    encoding = former.encoding if former else "utf-8"
    errors = former.errors if former else errors
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=True)


def flush():
    """Before a fork: what is left of a line must not be written by each child."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the app has put something of its own there
            pass
