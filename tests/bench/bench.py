#!/usr/bin/python3
"""Runs the benchmarks that are named, or all: prints tables and targets, keeps JSON in build/bench/.

A target that is missed is said to be "short" and changes no exit status: figures depend on the host.
"""

import importlib
import sys

from common import PROCESSORS, processes

NAMES = [
    *("hello", "instructions", "threads", "classes", "asgi", "connections", "fairness", "today"),
    *("scaling", "memory", "adoption", "reload", "api"),
]


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in NAMES]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    if len(PROCESSORS) < 2:
        print("server and client share the only processor: figures will be low", file=sys.stderr)
    processes.become_subreaper()
    for name in names or NAMES:
        importlib.import_module(name).main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
