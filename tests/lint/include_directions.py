#!/usr/bin/python3
"""Checks that every #include points the way that the design allows (docs: "Direction of dependencies").

    supervisor:  common ← model ← {core, store};  core ← runtime;  {core, store, runtime} ← reconcile ← api ← main
    worker:      common ← {http, net} ← engine ← gateway (Python.h starts here) ← zygote ← module
    ctl:         proto and common only

and that each foreign library and the kernel's process and socket interface stay in the folders that
are meant to know them. Run without arguments it checks the checkout that it lies in.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What each folder may include of our own tree. A folder is the longest prefix of a file's path here.
OWN: dict[str, set[str]] = {
    "common": {"common"},
    "supervisor/model": {"common", "supervisor/model"},
    "supervisor/core": {"common", "supervisor/model", "supervisor/core"},
    "supervisor/store": {"common", "supervisor/model", "supervisor/store"},
    "supervisor/runtime": {"common", "supervisor/model", "supervisor/core", "supervisor/runtime"},
    "supervisor/reconcile": {
        "common",
        "supervisor/model",
        "supervisor/core",
        "supervisor/store",
        "supervisor/runtime",
        "supervisor/reconcile",
    },
    "supervisor/launch": set(),
    # The worker's HTTP codec is pure and strict: appd's own page is read by it too.
    "supervisor/metrics": {
        "common",
        "supervisor/model",
        "supervisor/runtime",
        "supervisor/reconcile",
        "supervisor/metrics",
        "worker/http",
    },
    "supervisor/api": {
        "common",
        "supervisor/model",
        "supervisor/core",
        "supervisor/store",
        "supervisor/runtime",
        "supervisor/reconcile",
        "supervisor/api",
        "proto",
    },
    "supervisor": {
        "common",
        "supervisor",
        "supervisor/model",
        "supervisor/core",
        "supervisor/store",
        "supervisor/runtime",
        "supervisor/reconcile",
        "supervisor/metrics",
        "supervisor/api",
    },
    "worker/http": {"common", "worker/http"},
    "worker/net": {"common", "worker/net"},
    "worker/engine": {"common", "worker/http", "worker/net", "worker/engine"},
    "worker/gateway": {"common", "worker/http", "worker/net", "worker/engine", "worker/gateway"},
    "worker/zygote": {
        "common",
        "worker/http",
        "worker/net",
        "worker/engine",
        "worker/gateway",
        "worker/zygote",
    },
    "worker": {
        "common",
        "worker",
        "worker/http",
        "worker/net",
        "worker/engine",
        "worker/gateway",
        "worker/zygote",
    },
    "ctl": {"common", "ctl", "proto"},
}


@dataclass(frozen=True)
class Rule:
    """Headers that match `header` may be included only by paths that match `allowed`, of those in `scope`."""

    header: str
    allowed: str
    what: str
    scope: str = r""


RULES = [
    Rule(r"sqlite3\.h$", r"supervisor/store/", "sqlite3.h stays in supervisor/store"),
    Rule(
        r"(grpc|grpcpp)/|\.grpc\.pb\.h$",
        r"supervisor/api/|ctl/client",
        "gRPC stays in supervisor/api and ctl/client*",
    ),
    Rule(
        r"google/protobuf/|\.pb\.h$",
        r"supervisor/api/|ctl/",
        "protobuf stays in supervisor/api and ctl",
    ),
    Rule(
        r"Python\.h$",
        r"worker/(gateway|zygote)/|worker/module",
        "Python.h starts at worker/gateway",
    ),
    Rule(r"llhttp\.h$", r"worker/http/", "llhttp stays in worker/http"),
    Rule(r"zlib\.h$", r"worker/http/permessage_deflate", "zlib stays in permessage_deflate"),
    Rule(
        r"(spdlog|fmt)/",
        r"supervisor/(reconcile|api)/|supervisor/[^/]+$",
        "only reconcile, api and main log: elsewhere functions return errors",
    ),
    Rule(r"CLI/|toml\+\+/|toml\.hpp", r"ctl/|supervisor/[^/]+$", "command lines and TOML are ctl's"),
    Rule(r"n?curses\.h$", r"ctl/top/terminal", "ncurses stays in top's terminal"),
    Rule(r"nlohmann/", r"supervisor/(store|api)/|ctl/", "JSON stays in store, api and ctl"),
    Rule(
        r"(sys/(socket|un|wait|prctl|pidfd|epoll|mount|ptrace|signalfd)|netinet/.*|arpa/inet|netdb|spawn|sched)\.h$",
        r"supervisor/(runtime|launch)/",
        "within supervisor, process and socket syscalls stay in supervisor/runtime and launch",
        scope=r"supervisor/",
    ),
    Rule(
        r"(signal\.h|csignal)$",
        r"supervisor/runtime/|supervisor/[^/]+$",
        "within supervisor, signals belong to runtime and main",
        scope=r"supervisor/",
    ),
]

# (file, header): why it may, although a rule says no.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("supervisor/model/address.h", "sys/socket.h"): "an address is a sockaddr by value; nothing is opened",
    ("supervisor/model/address.cc", "arpa/inet.h"): "inet_pton reads an address; nothing is opened",
    ("supervisor/model/address.cc", "netinet/in.h"): "sockaddr_in is the value that inet_pton fills",
    ("supervisor/model/address.cc", "sys/un.h"): "sockaddr_un says how long a socket's path may be",
    ("supervisor/core/autopsy.cc", "sys/wait.h"): "WIFEXITED and its like take a wait status apart; nobody waits",
    ("supervisor/core/autopsy.cc", "csignal"): "signals that ended a process are told apart; nothing is sent",
    ("supervisor/model/validate_commands.cc", "csignal"): "numbers of signals by their names; nothing is sent",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
TOP_FOLDERS = ("common", "supervisor", "worker", "ctl")


def folder_of(path: str, known: dict[str, set[str]]) -> str | None:
    """The longest known folder that `path` lies in."""
    parts = path.split("/")
    for end in range(len(parts) - 1, 0, -1):
        if (folder := "/".join(parts[:end])) in known:
            return folder
    return None


def check_include(root: Path, source: str, quote: str, header: str) -> Iterator[str]:
    allowed = OWN[folder_of(source, OWN) or source.split("/")[0]]
    if header.startswith(tuple(f"{top}/" for top in TOP_FOLDERS)):
        target = folder_of(header, OWN)
        if target not in allowed:
            yield f"{source} includes {header}: {folder_of(source, OWN)} must not know {target}"
        if not (root / header).is_file():
            yield f"{source} includes {header}, which does not exist"
    elif quote == '"' and not header.startswith(("appd/v1/", "google/rpc/")) and (root / source).parent.joinpath(header).is_file():
        yield f'{source} includes "{header}": write the path from the top of the tree'
    elif header.startswith("tests/"):
        yield f"{source} includes {header}: what is tested knows no test"
    for rule in RULES:
        if (source, header) in EXCEPTIONS or not re.match(rule.scope, source):
            continue
        if re.match(rule.header, header) and not re.match(rule.allowed, source):
            yield f"{source} includes {header}: {rule.what}"


def check_tree(root: Path) -> list[str]:
    """One line for each include that points the wrong way."""
    found = []
    for top in TOP_FOLDERS:
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in (".h", ".cc", ".c"):
                continue
            source = file.relative_to(root).as_posix()
            text = COMMENT.sub("", file.read_text(encoding="utf-8"))
            for quote, header in INCLUDE.findall(text):
                found += check_include(root, source, quote, header)
    for source, header in EXCEPTIONS:
        if not (root / source).is_file() or header not in (root / source).read_text(encoding="utf-8"):
            found.append(f"exception for {source} and {header} is not needed any more: remove it")
    return found


def main() -> int:
    found = check_tree(ROOT)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
