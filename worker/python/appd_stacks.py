"""What a worker is at: threads by faulthandler, asyncio's tasks and greenlets by looking for them."""

import faulthandler
import gc
import itertools
import os
import sys
import traceback

MOST_EACH = 200  # tasks, and greenlets
MOST_FRAMES = 50
MOST_BYTES = 64 * 1024


def offer(fd, signum):
    """From now on the signal has the stacks of all threads written, by a handler that needs no lock."""
    faulthandler.register(signum, file=fd, all_threads=True, chain=True)


def write_tasks(fd):
    """Called in a thread of its own, while the app may be at work in others."""
    text = "".join(itertools.chain(tasks(), greenlets()))
    data = text.encode("utf-8", "backslashreplace")[:MOST_BYTES]
    while data:
        data = data[os.write(fd, data) :]


def tasks():
    asyncio = sys.modules.get("asyncio")
    loops = sys.modules.get("appd_loops")
    loop = loops and loops.serving_loop
    if not asyncio or not loop:
        return
    for task in itertools.islice(asyncio.all_tasks(loop), MOST_EACH):
        lines = list(lines_of(frames_of(task.get_coro())))
        if lines:
            yield f"\nTask {task.get_name()} (most recent call last):\n" + "".join(lines)


def frames_of(awaited):
    """From a coroutine down to what it waits for."""
    for _ in range(MOST_FRAMES):
        frame = first(awaited, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame, frame.f_lineno
        awaited = first(awaited, "cr_await", "gi_yieldfrom", "ag_await")
        if awaited is None:
            return


def first(thing, *names):
    return next((value for name in names if (value := getattr(thing, name, None)) is not None), None)


def lines_of(frames):
    return traceback.StackSummary.extract(frames, limit=MOST_FRAMES, lookup_lines=False).format()


def greenlets():
    greenlet = sys.modules.get("greenlet")
    if not greenlet:
        return
    # A current one has its frames in its thread's stack.
    waiting = (one for one in gc.get_objects() if isinstance(one, greenlet.greenlet) and one.gr_frame)
    for one in itertools.islice(waiting, MOST_EACH):
        yield f"\nGreenlet {id(one):#x} (most recent call last):\n" + "".join(traceback.format_stack(one.gr_frame, MOST_FRAMES))
