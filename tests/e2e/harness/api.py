"""The API as a client in Python sees it: grpcio, with messages that protoc makes of proto/."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from harness.appd import Appd
from harness.paths import ROOT

TIMEOUT = 60.0


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    proto = ROOT / "proto"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "api.pb")
        files = [str(file) for file in sorted(proto.rglob("*.proto"))]
        subprocess.run(["protoc", f"-I{proto}", "--include_imports", f"--descriptor_set_out={out}", *files], check=True)
        found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in found.file:
        pool.Add(file)
    return pool


class Api:
    """One connection. Requests and answers are dictionaries, as protobuf's JSON has them, with the proto's names."""

    def __init__(self, appd: Appd) -> None:
        self._channel = grpc.insecure_channel(appd.address)

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def stream(self, method: str, request: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """What a streaming method sends: `stream("appd.v1.Stats/WatchStats")`."""
        service, name = method.split("/")
        found = _pool().FindServiceByName(service).methods_by_name[name]
        factory = message_factory.MessageFactory(_pool())
        question, answer = (factory.GetPrototype(one) for one in (found.input_type, found.output_type))
        call = self._channel.unary_stream(
            f"/{method}",
            request_serializer=question.SerializeToString,
            response_deserializer=answer.FromString,
        )
        for message in call(json_format.Parse(json.dumps(request or {}), question()), timeout=TIMEOUT):
            yield json_format.MessageToDict(
                message, preserving_proto_field_name=True, including_default_value_fields=True
            )
