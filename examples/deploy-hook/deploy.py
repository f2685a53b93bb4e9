#!/usr/bin/python3
"""deploy.sh in Python, with stubs of appd's API: deploy.py APP HEALTH_URL [RELEASE]

The same arguments, environment (APPD_ADDRESS, DEPLOY_ID) and exit statuses.
"""

import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import grpc
from appd.v1 import apps_pb2, apps_pb2_grpc, operations_pb2, operations_pb2_grpc
from google.protobuf import duration_pb2, field_mask_pb2
from google.rpc import error_details_pb2, status_pb2

# As appctl's.
DONE, FAILED, USAGE, ROLLED_BACK, UNREACHABLE, CONFLICT = range(6)
STATUS_OF = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.UNAVAILABLE: UNREACHABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: UNREACHABLE,
    grpc.StatusCode.ABORTED: CONFLICT,
}
STATUS_OF_PHASE = {"SUCCEEDED": DONE, "ROLLED_BACK": ROLLED_BACK, "CANCELLED": ROLLED_BACK, "SUPERSEDED": CONFLICT}

# appd may be restarted meanwhile: the request_id makes a repeated call harmless.
REPEAT = {
    "methodConfig": [
        {
            "name": [{}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
CALL_TIMEOUT = 60
WAIT_SLICE = 30


def say(text: str) -> None:
    print(f"deploy.py: {text}", file=sys.stderr, flush=True)


class Deployment:
    def __init__(self, channel: grpc.Channel, app: str) -> None:
        self._apps = apps_pb2_grpc.AppsStub(channel)
        self._operations = operations_pb2_grpc.OperationsStub(channel)
        self._name = f"apps/{app}"

    def begin(self, release: str, request_id: str) -> str:
        """The name of the operation; the change is on its way, and on disk."""
        if not release:
            reload = apps_pb2.ReloadAppRequest(
                name=self._name, request_id=request_id, reason=os.environ.get("DEPLOY_REASON", "deploy")
            )
            return self._apps.ReloadApp(reload, timeout=CALL_TIMEOUT).name
        update = apps_pb2.UpdateAppRequest(
            app=apps_pb2.App(name=self._name, spec=apps_pb2.AppSpec(directory=release)),
            update_mask=field_mask_pb2.FieldMask(paths=["spec.directory"]),
            request_id=request_id,
            reason=f"release {Path(release).name}",
        )
        return self._apps.UpdateApp(update, timeout=CALL_TIMEOUT).operation

    def roll_back(self, reason: str) -> str:
        back = apps_pb2.RollbackAppRequest(name=self._name, request_id=str(uuid.uuid4()), reason=reason)
        return self._apps.RollbackApp(back, timeout=CALL_TIMEOUT).name

    def wait(self, operation: str) -> int:
        """How it ends, as an exit status; says why if not well."""
        request = operations_pb2.WaitOperationRequest(
            name=operation, timeout=duration_pb2.Duration(seconds=WAIT_SLICE)
        )
        while True:
            now = self._operations.WaitOperation(request, timeout=WAIT_SLICE + CALL_TIMEOUT)
            phase = operations_pb2.Operation.Phase.Name(now.phase)
            if now.done:
                break
            say(f"{phase.lower()} {now.detail}".rstrip())
        if now.HasField("error"):
            if now.failure.traceback:
                print(now.failure.traceback, file=sys.stderr)
            say(f"{phase}: {now.error.message}")
        else:
            say(f"{now.progress.ready_workers} workers serve")
        return STATUS_OF_PHASE.get(phase, FAILED)


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10):
            return True
    except (urllib.error.URLError, TimeoutError) as error:
        say(f"{url}: {error}")
        return False


def explain(error: grpc.RpcError) -> None:
    """A call that was refused: why, and each field that is wrong."""
    say(f"{error.code().name}: {error.details()}")
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                for violation in bad.field_violations:
                    say(f"  {violation.field}: {violation.description}")


def deploy(app: str, health: str, release: str) -> int:
    address = os.environ.get("APPD_ADDRESS", "unix:/run/appd/appd.sock")
    with grpc.insecure_channel(address, options=[("grpc.service_config", json.dumps(REPEAT))]) as channel:
        deployment = Deployment(channel, app)
        try:
            request_id = os.environ.get("DEPLOY_ID") or str(uuid.uuid4())
            begun = deployment.begin(os.path.abspath(release) if release else "", request_id)
            if status := deployment.wait(begun):
                return status
            if is_healthy(health):
                return DONE
            if release:
                say(f"rolling {app} back")
                deployment.wait(deployment.roll_back(f"{health} is not well"))
            return FAILED
        except grpc.RpcError as error:
            explain(error)
            return STATUS_OF.get(error.code(), FAILED)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        print("usage: deploy.py APP HEALTH_URL [RELEASE]", file=sys.stderr)
        sys.exit(USAGE)
    sys.exit(deploy(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""))
