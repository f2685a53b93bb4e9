"""A client that is not ours: Debian's Python gRPC, with stubs that protoc makes from proto/ on import."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from harness.paths import BUILD, ROOT

STUBS = BUILD / "python-stubs"


def _make_stubs() -> None:
    subprocess.run([ROOT / "scripts/python-stubs", STUBS], check=True)
    plugin = f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}"
    # Not under their own package's name, which is that of Python's gRPC.
    for folder, name in ((ROOT / "proto/grpc/health/v1", "health"), (ROOT / "tests/e2e/proto", "reflection")):
        command = ["protoc", f"-I{folder}", f"--python_out={STUBS}", f"--grpc_python_out={STUBS}", plugin]
        subprocess.run([*command, folder / f"{name}.proto"], check=True)
    sys.path.insert(0, str(STUBS))


_make_stubs()

import grpc  # noqa: E402
from appd.v1 import apps_pb2_grpc, events_pb2_grpc, logs_pb2_grpc, operations_pb2_grpc  # noqa: E402
from appd.v1 import stats_pb2_grpc, system_pb2_grpc, workers_pb2_grpc  # noqa: E402
from google.protobuf.message import Message  # noqa: E402
from google.rpc import error_details_pb2, status_pb2  # noqa: E402

TIMEOUT = 30.0
DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.ResourceInfo,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.RetryInfo,
)


class Foreign:
    """One connection and a stub for each service. Calls have a deadline unless they bring their own."""

    def __init__(self, address: str) -> None:
        # A socket of its own for each: gRPC shares connections of channels that are made alike.
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.apps = apps_pb2_grpc.AppsStub(self.channel)
        self.workers = workers_pb2_grpc.WorkersStub(self.channel)
        self.operations = operations_pb2_grpc.OperationsStub(self.channel)
        self.events = events_pb2_grpc.EventsStub(self.channel)
        self.logs = logs_pb2_grpc.LogsStub(self.channel)
        self.stats = stats_pb2_grpc.StatsStub(self.channel)
        self.system = system_pb2_grpc.SystemStub(self.channel)

    def __enter__(self) -> "Foreign":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


class Refusal:
    """What a call was refused with: the code, and the details as any client decodes them."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details()
        self.details: dict[str, Message] = {}
        trailers = {key: value for key, value in error.trailing_metadata() or ()}
        self.status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
        for packed in self.status.details:
            for kind in DETAILS:
                if packed.Is(kind.DESCRIPTOR):
                    self.details[kind.DESCRIPTOR.name] = kind.FromString(packed.value)

    @property
    def reason(self) -> str:
        info: Any = self.details.get("ErrorInfo")
        return info.reason if info else ""

    @property
    def metadata(self) -> dict[str, str]:
        info: Any = self.details["ErrorInfo"]
        return dict(info.metadata)

    @property
    def fields(self) -> list[str]:
        request: Any = self.details.get("BadRequest")
        return [violation.field for violation in request.field_violations] if request else []


def refused(call: Any, request: Message, **options: Any) -> Refusal:
    """Of a call that must be."""
    try:
        answer = call(request, timeout=TIMEOUT, **options)
        for _ in answer if isinstance(answer, Iterator) else ():
            pass
    except grpc.RpcError as error:
        return Refusal(error)
    raise AssertionError(f"{request} was not refused")
