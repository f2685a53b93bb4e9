"""The API from outside: what grpcurl and Python's gRPC do with it, from nothing but proto/ or reflection."""

import socket
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from harness import http
from harness.appd import Appd
from harness.apps import write_app
from harness.foreign import TIMEOUT, Foreign, refused
from harness.paths import ROOT
from harness.ports import free_port

import health_pb2
import health_pb2_grpc
import reflection_pb2
import reflection_pb2_grpc
from appd.v1 import apps_pb2, errors_pb2, events_pb2, logs_pb2, operations_pb2, system_pb2, workers_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, field_mask_pb2, message_factory
from google.rpc import error_details_pb2

PUBLIC = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.fixture
def client(appd: Appd) -> Iterator[Foreign]:
    with Foreign(appd.address) as one:
        yield one


def spec_of(folder: Path, port: int, **more: Any) -> apps_pb2.AppSpec:
    return apps_pb2.AppSpec(directory=str(folder), app="wsgi:app", bind=[f"127.0.0.1:{port}"], **more)


def create(client: Foreign, name: str, spec: apps_pb2.AppSpec, **more: Any) -> apps_pb2.App:
    request = apps_pb2.CreateAppRequest(app_id=name, app=apps_pb2.App(spec=spec), **more)
    return client.apps.CreateApp(request, timeout=TIMEOUT)


def wait(client: Foreign, name: str) -> operations_pb2.Operation:
    request = operations_pb2.WaitOperationRequest(name=name)
    operation = client.operations.WaitOperation(request, timeout=90)
    assert operation.done
    return operation


def stopped(client: Foreign, name: str, folder: Path) -> apps_pb2.App:
    """An app that is only there to be listed."""
    return create(client, name, spec_of(folder, free_port(), run_mode=apps_pb2.AppSpec.STOPPED))


# --- as grpcurl ---------------------------------------------------------------------------------


class Reflection:
    """list and describe, as grpcurl does them: every file by what is in it, imports by name."""

    def __init__(self, client: Foreign) -> None:
        self._stub = reflection_pb2_grpc.ServerReflectionStub(client.channel)
        self.pool = descriptor_pool.DescriptorPool()
        self._files: dict[str, descriptor_pb2.FileDescriptorProto] = {}
        self._added: set[str] = set()

    def _ask(self, **what: str) -> reflection_pb2.ServerReflectionResponse:
        request = reflection_pb2.ServerReflectionRequest(**what)
        (answer,) = self._stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT)
        return answer

    def services(self) -> set[str]:
        return {service.name for service in self._ask(list_services="").list_services_response.service}

    def describe(self, service: str) -> Any:
        self._take(self._ask(file_containing_symbol=service))
        for name in list(self._files):
            self._add(name)
        return self.pool.FindServiceByName(service)

    def _take(self, answer: reflection_pb2.ServerReflectionResponse) -> None:
        assert answer.HasField("file_descriptor_response"), answer
        for data in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            self._files[file.name] = file

    def _add(self, name: str) -> None:
        if name in self._added:
            return
        if name not in self._files:
            self._take(self._ask(file_by_filename=name))
        for imported in self._files[name].dependency:
            self._add(imported)
        self.pool.Add(self._files[name])
        self._added.add(name)


def services_in_proto() -> dict[str, set[str]]:
    """As the files under proto/appd/v1 have them."""
    found = {}
    for file in (ROOT / "proto/appd/v1").glob("*.proto"):
        name = ""
        for line in file.read_text().splitlines():
            if line.startswith("service "):
                name = "appd.v1." + line.split()[1]
                found[name] = set()
            elif line.lstrip().startswith("rpc "):
                found[name].add(line.split()[1].split("(")[0])
    return found


def test_reflection_lists_and_describes_all_that_is_in_proto(client: Foreign) -> None:
    reflection = Reflection(client)
    assert reflection.services() == set(services_in_proto()) | PUBLIC
    for name, methods in services_in_proto().items():
        assert {method.name for method in reflection.describe(name).methods} == methods


def test_reflection_is_enough_to_make_a_call(appd: Appd, client: Foreign, tmp_path: Path) -> None:
    stopped(client, "web", write_app(tmp_path / "web"))
    (method,) = [one for one in Reflection(client).describe("appd.v1.Apps").methods if one.name == "GetApp"]
    # What grpcurl has: descriptors, and no code that anybody has generated.
    factory = message_factory.MessageFactory()
    request, answer = factory.GetPrototype(method.input_type), factory.GetPrototype(method.output_type)
    call = client.channel.unary_unary(
        "/appd.v1.Apps/GetApp", request_serializer=request.SerializeToString, response_deserializer=answer.FromString
    )
    assert call(request(name="apps/web"), timeout=TIMEOUT).spec.app == "wsgi:app"


def test_health_of_every_service_and_of_none(client: Foreign) -> None:
    health = health_pb2_grpc.HealthStub(client.channel)
    for name in ["", *services_in_proto()]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, name
    unknown = refused(health.Check, health_pb2.HealthCheckRequest(service="appd.v1.Nothing"))
    assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    watch = health.Watch(health_pb2.HealthCheckRequest(service="appd.v1.Apps"), timeout=TIMEOUT)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


# --- an app's life ------------------------------------------------------------------------------


def test_create_scale_watch_wait_and_a_refused_reload(client: Foreign, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web", extra="print('hello log', flush=True)")
    app = create(client, "web", spec_of(folder, port), reason="first", request_id=str(uuid.uuid4()))
    assert wait(client, app.operation).phase == operations_pb2.Operation.SUCCEEDED
    listed = client.apps.ListApps(apps_pb2.ListAppsRequest(), timeout=TIMEOUT)
    assert [one.name for one in listed.apps] == ["apps/web"]

    watch = client.events.Watch(events_pb2.WatchRequest(start_revision=listed.revision + 1), timeout=60)
    scaled = client.apps.ScaleApp(apps_pb2.ScaleAppRequest(name="apps/web", workers=3), timeout=TIMEOUT)
    assert wait(client, scaled.name).progress.ready_workers == 3
    revision = listed.revision
    ready = set()
    for event in watch:
        assert event.revision == revision + 1, "every revision, in order"
        revision = event.revision
        if event.worker.state == workers_pb2.Worker.READY:
            ready.add(event.worker.pid)
        if event.operation.name == scaled.name and event.operation.done:
            break
    watch.cancel()
    workers = client.workers.ListWorkers(workers_pb2.ListWorkersRequest(parent="apps/web"), timeout=TIMEOUT).workers
    assert ready <= {worker.pid for worker in workers} and len(workers) == 3

    write_app(folder, source="raise RuntimeError('no database')\n")
    reload = client.apps.ReloadApp(apps_pb2.ReloadAppRequest(name="apps/web"), timeout=TIMEOUT)
    failed = wait(client, reload.name)
    assert failed.phase == operations_pb2.Operation.ROLLED_BACK
    assert failed.error.code == grpc.StatusCode.ABORTED.value[0]
    info = error_details_pb2.ErrorInfo()
    assert failed.error.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("ROLLED_BACK", "appd")
    assert info.metadata == {"app": "apps/web", "operation": reload.name}
    assert failed.failure.cause == operations_pb2.Failure.IMPORT_FAILED
    assert "RuntimeError: no database" in failed.failure.traceback
    assert http.request(port).text == "hello"

    (entry,) = client.logs.ReadLogs(logs_pb2.ReadLogsRequest(name="apps/web", contains="hello log"), timeout=TIMEOUT)
    assert (entry.line, entry.app) == ("hello log", "apps/web")
    done = client.apps.DeleteApp(apps_pb2.DeleteAppRequest(name="apps/web"), timeout=TIMEOUT)
    assert wait(client, done.name).phase == operations_pb2.Operation.SUCCEEDED


def test_dry_runs_change_nothing_and_missing_is_allowed_where_it_is_asked_for(
    client: Foreign, tmp_path: Path
) -> None:
    folder = write_app(tmp_path / "web")
    spec = spec_of(folder, free_port(), run_mode=apps_pb2.AppSpec.STOPPED)
    assert create(client, "web", spec, validate_only=True).spec.app == "wsgi:app"
    absent = refused(client.apps.GetApp, apps_pb2.GetAppRequest(name="apps/web"))
    assert (absent.code, absent.reason) == (grpc.StatusCode.NOT_FOUND, "APP_NOT_FOUND")
    update = apps_pb2.UpdateAppRequest(app=apps_pb2.App(name="apps/web", spec=spec))
    assert refused(client.apps.UpdateApp, update).reason == "APP_NOT_FOUND"
    update.allow_missing = True
    made = client.apps.UpdateApp(update, timeout=TIMEOUT)
    assert made.generation == 1

    update = apps_pb2.UpdateAppRequest(
        app=apps_pb2.App(name="apps/web", etag=made.etag, spec=apps_pb2.AppSpec(threads=4, env={"A": "1"})),
        update_mask=field_mask_pb2.FieldMask(paths=["spec.threads"]),
        validate_only=True,
    )
    assert client.apps.UpdateApp(update, timeout=TIMEOUT).spec.threads == 4
    now = client.apps.GetApp(apps_pb2.GetAppRequest(name="apps/web"), timeout=TIMEOUT)
    assert (now.spec.threads, now.etag) == (1, made.etag)
    update.validate_only = False
    changed = client.apps.UpdateApp(update, timeout=TIMEOUT)
    assert changed.spec.threads == 4 and not changed.spec.env, "the mask says what"
    stale = refused(client.apps.UpdateApp, update)
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert stale.metadata["etag"] == changed.etag
    update.app.etag = ""
    update.update_mask.paths[:] = ["spec.env.A"]
    named = client.apps.UpdateApp(update, timeout=TIMEOUT)
    assert (named.spec.env, named.changed_env) == ({"A": "<redacted>"}, ["A"]), "values come out nowhere"

    gone = apps_pb2.DeleteAppRequest(name="apps/nothing")
    assert refused(client.apps.DeleteApp, gone).reason == "APP_NOT_FOUND"
    gone.allow_missing = True
    assert client.apps.DeleteApp(gone, timeout=TIMEOUT).done


# --- errors -------------------------------------------------------------------------------------


def test_all_violations_of_a_spec_come_in_one_answer_each_with_its_field(client: Foreign) -> None:
    spec = apps_pb2.AppSpec(
        directory="/nonexistent", app="wsgi:app", bind=["nowhere"], workers=5000, python="/no/python", lifespan="maybe"
    )
    request = apps_pb2.CreateAppRequest(app_id="web", app=apps_pb2.App(spec=spec))
    refusal = refused(client.apps.CreateApp, request)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SPEC_INVALID")
    assert {"spec.bind[0]", "spec.workers", "spec.lifespan", "spec.directory", "spec.python"} == set(refusal.fields)


def test_every_error_carries_what_a_program_needs(client: Foreign, tmp_path: Path) -> None:
    stopped(client, "web", write_app(tmp_path / "web"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        spec = spec_of(tmp_path / "web", taken)
        bind = refused(
            client.apps.CreateApp, apps_pb2.CreateAppRequest(app_id="other", app=apps_pb2.App(spec=spec))
        )
    assert (bind.code, bind.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BIND_FAILED")
    assert bind.metadata["bind"] == f"127.0.0.1:{taken}"
    assert bind.fields == ["spec.bind"]

    reload = refused(client.apps.ReloadApp, apps_pb2.ReloadAppRequest(name="apps/web"))
    assert (reload.code, reload.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "APP_STOPPED")
    failure: Any = reload.details["PreconditionFailure"]
    assert failure.violations[0].subject == "apps/web"

    absent = refused(client.workers.GetWorker, workers_pb2.GetWorkerRequest(name="apps/web/workers/3"))
    resource: Any = absent.details["ResourceInfo"]
    assert (resource.resource_type, resource.resource_name) == ("appd.v1.Worker", "apps/web/workers/3")

    twice = refused(
        client.apps.CreateApp,
        apps_pb2.CreateAppRequest(app_id="web", app=apps_pb2.App(spec=spec_of(tmp_path / "web", free_port()))),
    )
    assert (twice.code, twice.reason) == (grpc.StatusCode.ALREADY_EXISTS, "APP_EXISTS")

    old = refused(client.events.Watch, events_pb2.WatchRequest(start_revision=1))
    assert (old.code, old.reason) == (grpc.StatusCode.OUT_OF_RANGE, "REVISION_COMPACTED")
    oldest = int(old.metadata["oldest_revision"])
    watch = client.events.Watch(events_pb2.WatchRequest(start_revision=oldest), timeout=TIMEOUT)
    assert next(watch).revision == oldest, "the oldest that is kept can be had"
    watch.cancel()
    for refusal in (bind, reload, absent, twice, old):
        assert refusal.reason in errors_pb2.ErrorReason.keys()
        assert refusal.details["ErrorInfo"].domain == "appd"
        assert refusal.status.code == refusal.code.value[0]
        assert refusal.status.message == refusal.message


def test_what_comes_before_any_handler_is_refused_with_details_too(client: Foreign) -> None:
    raw = {"request_serializer": bytes, "response_deserializer": bytes}
    code = grpc.StatusCode
    get, watch = "/appd.v1.Apps/GetApp", "/appd.v1.Events/Watch"
    service = refused(client.channel.unary_unary("/appd.v2.Apps/GetApp", **raw), b"")
    assert (service.code, service.reason) == (code.UNIMPLEMENTED, "METHOD_UNKNOWN")
    assert "appd.v1.Apps" in service.metadata["services"].split(", ")
    method = refused(client.channel.unary_unary("/appd.v1.Apps/GetApps", **raw), b"")
    assert (method.code, method.reason) == (code.UNIMPLEMENTED, "METHOD_UNKNOWN")
    assert (method.metadata["method"], "ListApps" in method.metadata["methods"]) == ("appd.v1.Apps/GetApps", True)
    for bad in (
        refused(client.channel.unary_unary(get, **raw), b"\xff"),
        refused(client.channel.unary_stream(watch, **raw), b"\xff"),
        refused(client.channel.stream_unary(get, **raw), iter([])),
        refused(client.channel.stream_stream(watch, **raw), iter([])),
    ):
        assert (bad.code, bad.reason) == (code.INVALID_ARGUMENT, "MESSAGE_UNREADABLE")
    long = refused(client.channel.unary_unary(get, **raw), b"\x0a" + bytes(1 << 20))
    assert (long.code, long.reason, long.metadata["limit"]) == (code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LONG", "1048576")
    for refusal in (service, method, bad, long):
        assert refusal.reason in errors_pb2.ErrorReason.keys()
        assert refusal.details["ErrorInfo"].domain == "appd"
        assert refusal.status.message == refusal.message


def test_what_cannot_be_read_is_told_with_every_rule_that_is_broken(client: Foreign, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    stopped(client, "web", folder)
    bad = apps_pb2.AppSpec(workers=5000, lifespan="maybe", timeout={"seconds": -1}, boot_timeout={"seconds": -1})
    bad.preload = 17  # no such enumerator
    # Longer than the boot_timeout that there is; what it shall be, nobody can read.
    bad.health_path, bad.health_tries, bad.health_timeout.seconds = "/healthz", 100, 3600
    expected = {f"spec.{name}" for name in ("workers", "lifespan", "timeout", "boot_timeout", "preload")}
    update = apps_pb2.UpdateAppRequest(app=apps_pb2.App(name="apps/web", spec=bad))
    refusal = refused(client.apps.UpdateApp, update)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "SPEC_INVALID")
    assert set(refusal.fields) == expected and len(refusal.fields) == len(expected)
    # A new one: the rules of the host and of the other apps too.
    spec = apps_pb2.AppSpec()
    spec.CopyFrom(bad)
    taken = client.apps.GetApp(apps_pb2.GetAppRequest(name="apps/web"), timeout=TIMEOUT).spec.bind[0]
    spec.directory, spec.app, spec.python = "/nonexistent", "wsgi:app", "/no/python"
    spec.bind.append(taken)
    expected |= {"spec.directory", "spec.python", "spec.bind"}
    create = apps_pb2.CreateAppRequest(app_id="other", app=apps_pb2.App(spec=spec))
    assert set(refused(client.apps.CreateApp, create).fields) == expected
    update.app.name, update.allow_missing = "apps/other", True
    update.app.spec.CopyFrom(spec)
    assert set(refused(client.apps.UpdateApp, update).fields) == expected


# --- changes that are no change of an app --------------------------------------------------------


def test_logs_are_reopened_and_the_level_is_set_once_for_each_request_id(appd: Appd, client: Foreign, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    stopped(client, "web", folder)
    reopen = logs_pb2.ReopenLogsRequest(name="apps/-", request_id=str(uuid.uuid4()), reason="logrotate")
    assert client.logs.ReopenLogs(reopen, timeout=TIMEOUT).apps == 1
    stopped(client, "other", folder)
    assert client.logs.ReopenLogs(reopen, timeout=TIMEOUT).apps == 1, "the first answer again"
    level = system_pb2.SetLogLevelRequest(level="debug", request_id=str(uuid.uuid4()), reason="a closer look")
    assert client.system.SetLogLevel(level, timeout=TIMEOUT).previous_level == "info"
    client.system.SetLogLevel(system_pb2.SetLogLevelRequest(level="error"), timeout=TIMEOUT)
    assert client.system.SetLogLevel(level, timeout=TIMEOUT).previous_level == "info"
    info = client.system.GetServerInfo(system_pb2.GetServerInfoRequest(), timeout=TIMEOUT)
    assert info.log_level == "error", "a repetition has no second effect"
    for call, request in ((client.logs.ReopenLogs, reopen), (client.system.SetLogLevel, level)):
        request.reason = "something else"
        assert refused(call, request).reason == "REQUEST_ID_REUSED"
    with sqlite3.connect(appd.state_dir / "appd.db") as store:
        done = [line for (line,) in store.execute("SELECT text FROM audit")]
    for words in ("reopened the logs of all apps by uid", "log level changed from info to debug by uid"):
        assert sum(line.startswith(words) for line in done) == 1, done
    assert any(line.endswith("(a closer look)") for line in done)


# --- lists --------------------------------------------------------------------------------------


def paged(call: Any, request: Any, items: str) -> list[str]:
    """Everything, one on a page; no page may hold more."""
    request.page_size = 1
    names = []
    while True:
        answer = call(request, timeout=TIMEOUT)
        page = getattr(answer, items)
        assert len(page) <= 1
        names += [one.name for one in page]
        if not answer.next_page_token:
            return names
        request.page_token = answer.next_page_token


def test_every_list_comes_in_pages(client: Foreign, port: int, tmp_path: Path) -> None:
    folder = write_app(tmp_path / "web")
    app = create(client, "web", spec_of(folder, port, workers=3))
    wait(client, app.operation)
    for name in ("a", "b"):
        stopped(client, name, folder)
    for workers in (2, 3):
        wait(client, client.apps.ScaleApp(apps_pb2.ScaleAppRequest(name="apps/web", workers=workers)).name)

    assert paged(client.apps.ListApps, apps_pb2.ListAppsRequest(), "apps") == ["apps/a", "apps/b", "apps/web"]
    workers = paged(client.workers.ListWorkers, workers_pb2.ListWorkersRequest(parent="apps/-"), "workers")
    assert workers == [f"apps/web/workers/{number}" for number in (1, 2, 3)]
    revisions = paged(client.apps.ListRevisions, apps_pb2.ListRevisionsRequest(parent="apps/web"), "revisions")
    assert revisions == [f"apps/web/revisions/{number}" for number in (3, 2, 1)]
    operations = paged(client.operations.ListOperations, operations_pb2.ListOperationsRequest(), "operations")
    assert len(set(operations)) == 5
    deaths = paged(client.workers.ListDeaths, workers_pb2.ListDeathsRequest(parent="apps/web"), "deaths")
    assert deaths == []
    for call, request in (
        (client.apps.ListApps, apps_pb2.ListAppsRequest(page_size=-1)),
        (client.apps.ListApps, apps_pb2.ListAppsRequest(page_token="?")),
        (client.operations.ListOperations, operations_pb2.ListOperationsRequest(page_token="beef")),
    ):
        refusal = refused(call, request)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
