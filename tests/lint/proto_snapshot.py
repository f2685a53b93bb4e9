#!/usr/bin/python3
"""Compares the API with the one that clients have been built for.

proto/snapshot.txtpb is a FileDescriptorSet as text, made by protoc from proto/appd/v1. What is in it must
stay: no name, number, type or place of it changes, and what is removed leaves `reserved` behind. What is
added is recorded there too, so that it is held to the same from then on.

    proto_snapshot.py            says what differs and what to do; exit 1 if anything does
    proto_snapshot.py --write    records additions and clean removals; refuses what would break clients
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = ROOT / "proto/snapshot.txtpb"
HEAD = """# The API as clients know it: made by `scripts/dev proto-snapshot`, compared by tests/lint/proto_snapshot.py.
# proto-file: google/protobuf/descriptor.proto
# proto-message: FileDescriptorSet
"""


@dataclass
class Difference:
    """What a newer set of files does to an older one."""

    breaks: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)

    @property
    def none(self) -> bool:
        return not self.breaks and not self.changes


# --- from files to descriptors ------------------------------------------------------------------


def describe(folder: Path, pattern: str = "appd/v1/*.proto") -> FileDescriptorSet:
    """Of the files under the folder, without what they import, and without what says nothing."""
    files = sorted(str(file) for file in folder.glob(pattern))
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"-I{folder}", f"--descriptor_set_out={out.name}", *files], check=True)
        found = FileDescriptorSet.FromString(out.read())
    for file in found.file:
        file.service.sort(key=lambda service: service.name)
        for service in file.service:
            service.method.sort(key=lambda method: method.name)
        tidy_types(file)
    found.file.sort(key=lambda file: file.name)
    return found


def tidy_types(scope: FileDescriptorProto | DescriptorProto) -> None:
    """In an order of their own, wherever they stand in the file; JSON's names follow from the names."""
    messages = scope.message_type if isinstance(scope, FileDescriptorProto) else scope.nested_type
    messages.sort(key=lambda message: message.name)
    scope.enum_type.sort(key=lambda enum: enum.name)
    for enum in scope.enum_type:
        enum.value.sort(key=lambda value: value.number)
    for message in messages:
        message.field.sort(key=lambda each: each.number)
        for each in message.field:
            each.ClearField("json_name")
        tidy_types(message)


def read(path: Path) -> FileDescriptorSet:
    return text_format.Parse(path.read_text(encoding="utf-8"), FileDescriptorSet())


def write(path: Path, files: FileDescriptorSet) -> None:
    path.write_text(HEAD + text_format.MessageToString(files), encoding="utf-8")


# --- comparison ---------------------------------------------------------------------------------


def compare(old: FileDescriptorSet, new: FileDescriptorSet) -> Difference:
    difference = Difference()
    news = {file.name: file for file in new.file}
    for file in old.file:
        if file.name in news:
            compare_files(file, news[file.name], difference)
        else:
            difference.breaks.append(f"{file.name} is gone: put it back; clients include it by that name")
    for name in sorted(news.keys() - {file.name for file in old.file}):
        difference.changes.append(f"{name} is new")
    return difference


def compare_files(old: FileDescriptorProto, new: FileDescriptorProto, difference: Difference) -> None:
    if old.package != new.package:
        difference.breaks.append(
            f"{old.name}: package {old.package} has become {new.package}: every name in it is another now; "
            f"a new version of the API is a folder beside this one"
        )
        return
    compare_messages(old.package, old.message_type, new.message_type, difference)
    compare_enums(old.package, old.enum_type, new.enum_type, difference)
    news = {service.name: service for service in new.service}
    for service in old.service:
        name = f"{old.package}.{service.name}"
        if service.name in news:
            compare_methods(name, service.method, news.pop(service.name).method, difference)
        else:
            difference.breaks.append(f"service {name} is gone: put it back, to answer UNIMPLEMENTED if need be")
    difference.changes += [f"service {old.package}.{name} is new" for name in news]


def compare_methods(
    service: str, old: list[MethodDescriptorProto], new: list[MethodDescriptorProto], difference: Difference
) -> None:
    news = {method.name: method for method in new}
    for method in old:
        name = f"{service}.{method.name}"
        now = news.pop(method.name, None)
        if now is None:
            difference.breaks.append(f"method {name} is gone: put it back, to answer UNIMPLEMENTED if need be")
        elif signature(method) != signature(now):
            difference.breaks.append(
                f"method {name} was {signature(method)} and is {signature(now)}: take that back, "
                f"and add a method of another name"
            )
    difference.changes += [f"method {service}.{name} is new" for name in news]


def signature(method: MethodDescriptorProto) -> str:
    def side(stream: bool, name: str) -> str:
        return ("stream " if stream else "") + name.lstrip(".")

    takes = side(method.client_streaming, method.input_type)
    return f"({takes}) returns ({side(method.server_streaming, method.output_type)})"


def compare_messages(
    scope: str, old: list[DescriptorProto], new: list[DescriptorProto], difference: Difference
) -> None:
    news = {message.name: message for message in new}
    for message in old:
        name = f"{scope}.{message.name}"
        now = news.pop(message.name, None)
        if now is None:
            difference.breaks.append(f"message {name} is gone or was moved: put it back where it was")
            continue
        compare_fields(name, message, now, difference)
        compare_messages(name, message.nested_type, now.nested_type, difference)
        compare_enums(name, message.enum_type, now.enum_type, difference)
    difference.changes += [f"message {scope}.{name} is new" for name in news]


def compare_fields(name: str, old: DescriptorProto, new: DescriptorProto, difference: Difference) -> None:
    by_number = {each.number: each for each in new.field}
    by_name = {each.name: each for each in new.field}
    ranges = [(each.start, each.end - 1) for each in new.reserved_range]
    for each in old.field:
        what = f"field {name}.{each.name} = {each.number}"
        now = by_number.get(each.number)
        if now is not None and now.name == each.name:
            before, after = shape(old, each), shape(new, now)
            if before != after:
                difference.breaks.append(
                    f"{what} was \"{before}\" and is \"{after}\": take that back, and add a field with another name "
                    f"and number"
                )
        elif each.name in by_name:
            difference.breaks.append(
                f"{what} was renumbered to {by_name[each.name].number}: take that back; the number is what is sent"
            )
        elif now is not None:
            difference.breaks.append(
                f"{what} was renamed, or its number given, to {now.name}: take that back; the name is in stubs, "
                f"in JSON and in update masks, and a number is never used again"
            )
        else:
            removed(what, each.name, each.number, f"message {name}", ranges, new.reserved_name, difference)
    kept_reserved(name, old, ranges, new.reserved_name, difference)
    known = {each.number for each in old.field}
    difference.changes += [f"field {name}.{each.name} is new" for each in new.field if each.number not in known]


def shape(message: DescriptorProto, each: FieldDescriptorProto) -> str:
    """All that its users see of it, beside name and number: "repeated string", "optional int32 (in oneof event)"."""
    type_name = each.type_name.lstrip(".")
    kind = type_name or FieldDescriptorProto.Type.Name(each.type)[len("TYPE_") :].lower()
    label = "repeated " if each.label == FieldDescriptorProto.LABEL_REPEATED else ""
    if each.proto3_optional:
        return f"optional {kind}"
    if each.HasField("oneof_index"):
        return f"{kind} in oneof {message.oneof_decl[each.oneof_index].name}"
    return label + kind


def compare_enums(
    scope: str, old: list[EnumDescriptorProto], new: list[EnumDescriptorProto], difference: Difference
) -> None:
    news = {enum.name: enum for enum in new}
    for enum in old:
        name = f"{scope}.{enum.name}"
        now = news.pop(enum.name, None)
        if now is None:
            difference.breaks.append(f"enum {name} is gone or was moved: put it back where it was")
        else:
            compare_values(name, enum, now, difference)
    difference.changes += [f"enum {scope}.{name} is new" for name in news]


def compare_values(name: str, old: EnumDescriptorProto, new: EnumDescriptorProto, difference: Difference) -> None:
    by_name = {value.name: value.number for value in new.value}
    by_number = {value.number: value.name for value in new.value}
    ranges = [(each.start, each.end) for each in new.reserved_range]  # of enums the end is part of it
    for value in old.value:
        what = f"value {name}.{value.name} = {value.number}"
        if by_name.get(value.name) == value.number:
            continue
        if value.name in by_name:
            difference.breaks.append(f"{what} was renumbered to {by_name[value.name]}: take that back")
        elif value.number in by_number:
            difference.breaks.append(
                f"{what} was renamed, or its number given, to {by_number[value.number]}: take that back; the name is "
                f"in stubs and in JSON, and a number is never used again"
            )
        else:
            removed(what, value.name, value.number, f"enum {name}", ranges, new.reserved_name, difference)
    kept_reserved(name, old, ranges, new.reserved_name, difference)
    known = {value.number for value in old.value}
    difference.changes += [f"value {name}.{value.name} is new" for value in new.value if value.number not in known]


def removed(
    what: str,
    name: str,
    number: int,
    where: str,
    ranges: list[tuple[int, int]],
    names: list[str],
    difference: Difference,
) -> None:
    if name in names and any(first <= number <= last for first, last in ranges):
        difference.changes.append(f"{what} was removed, and is reserved")
    else:
        difference.breaks.append(
            f"{what} was removed: add `reserved {number}; reserved \"{name}\";` to {where}, so that neither is ever "
            f"given to something else"
        )


def kept_reserved(
    name: str,
    old: DescriptorProto | EnumDescriptorProto,
    ranges: list[tuple[int, int]],
    names: list[str],
    difference: Difference,
) -> None:
    last = 1 if isinstance(old, DescriptorProto) else 0
    for each in old.reserved_range:
        if not any(first <= each.start and each.end - last <= end for first, end in ranges):
            difference.breaks.append(f"{name}: `reserved {each.start}` is gone: put it back")
    for each in set(old.reserved_name) - set(names):
        difference.breaks.append(f"{name}: `reserved \"{each}\"` is gone: put it back")


# --- what people run ----------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    new = describe(ROOT / "proto")
    difference = compare(read(SNAPSHOT), new)
    for line in difference.breaks:
        print(f"breaks clients: {line}")
    if difference.breaks:
        return 1
    for line in difference.changes:
        print(line)
    if arguments == ["--write"]:
        write(SNAPSHOT, new)
        return 0
    if read(SNAPSHOT) != new:
        print("proto/ and proto/snapshot.txtpb differ, and nothing breaks: record it with scripts/dev proto-snapshot")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
