"""Writes the API's messages as Python: bebr/v1.py with bebr/v1.pyi, and bebr/_details.py with bebr/_details.pyi.

    python3 generate.py PROTO_DIRECTORY OUTPUT_DIRECTORY

setup.py does this while it builds. protoc of any age reads the protos, also that of Debian's python3-grpc-tools (1.14), which knows no
`optional` in proto3 and writes code that Debian's python3-protobuf refuses: so it is asked for descriptors alone, and `optional T x = 1;`
is given to it as what it is on the wire and in Python, a oneof of one field. The messages live in a pool of their own: another package
that brings the same protos does not clash with them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from typing import Dict, Iterator, List

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto

MODULES = {"v1": "bebr.v1", "_details": "google.rpc"}
FILES = ["bebr/v1/types", "bebr/v1/documents", "bebr/v1/search", "bebr/v1/collections", "bebr/v1/admin", "google/rpc/status",
         "google/rpc/error_details"]

SCALARS = {FieldDescriptorProto.TYPE_STRING: "str", FieldDescriptorProto.TYPE_BYTES: "bytes", FieldDescriptorProto.TYPE_BOOL: "bool",
           FieldDescriptorProto.TYPE_DOUBLE: "float", FieldDescriptorProto.TYPE_FLOAT: "float"}

CODE = '''"""{package}: the API's messages and enums. Generated from proto/ by generate.py: do not edit."""

from bebr import _pool

_pool.define(globals(), "{package}", {names!r}, {descriptors!r})
'''

TYPES = '''# Generated from proto/ by generate.py: do not edit.
from typing import Any, Mapping, Optional, Sequence

from bebr._pool import Map, Message, MessageMap, Repeated, RepeatedMessage
'''


def with_old_optional(text: str) -> str:
    return re.sub(r"^(\s*)optional (\S+ (\w+) = [^;]*;)", r"\1oneof _\3 { \2 }", text, flags=re.MULTILINE)


def descriptors_of(protos: str) -> descriptor_pb2.FileDescriptorSet:
    """Of FILES and all that they import, each after its imports."""
    with tempfile.TemporaryDirectory() as work:
        for name in FILES:
            path = os.path.join(work, name + ".proto")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(os.path.join(protos, name + ".proto"), encoding="utf-8") as source, open(path, "w", encoding="utf-8") as copy:
                copy.write(with_old_optional(source.read()))
        output = os.path.join(work, "set")
        # The imports of google/protobuf come with grpc_tools.
        command = [sys.executable, "-c", "import os, sys, grpc_tools.protoc as protoc\n"
                   "include = os.path.join(os.path.dirname(protoc.__file__), '_proto')\n"
                   "sys.exit(protoc.main(['protoc', '-I' + include, *sys.argv[1:]]))",
                   "-I" + work, "--include_imports", "--descriptor_set_out=" + output, *(name + ".proto" for name in FILES)]
        subprocess.run(command, check=True)
        with open(output, "rb") as file:
            return descriptor_pb2.FileDescriptorSet.FromString(file.read())


def python_type(field: FieldDescriptorProto) -> str:
    if field.type in SCALARS:
        return SCALARS[field.type]
    if field.type == FieldDescriptorProto.TYPE_MESSAGE:
        own = [package for package in MODULES.values() if field.type_name.startswith(f".{package}.")]
        return field.type_name[len(own[0]) + 2:] if own else "Any"
    return "int"


def is_map_entry(message: DescriptorProto, field: FieldDescriptorProto) -> DescriptorProto | None:
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith("." + nested.name):
            return nested
    return None


def field_types(message: DescriptorProto, field: FieldDescriptorProto) -> List[str]:
    """Its type when it is read, and when it is given to the constructor."""
    entry = is_map_entry(message, field)
    if entry is not None:
        key, value = (python_type(f) for f in entry.field)
        kind = "MessageMap" if entry.field[1].type == FieldDescriptorProto.TYPE_MESSAGE else "Map"
        return [f"{kind}[{key}, {value}]", f"Mapping[{key}, {value}]"]
    name = python_type(field)
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        kind = "RepeatedMessage" if field.type == FieldDescriptorProto.TYPE_MESSAGE else "Repeated"
        return [f"{kind}[{name}]", f"Sequence[{name}]"]
    return [name, name]


def enum_lines(enum: EnumDescriptorProto) -> Iterator[str]:
    for value in enum.value:
        yield f"{value.name}: int"


def message_lines(message: DescriptorProto) -> Iterator[str]:
    yield f"class {message.name}(Message):"
    for nested in message.nested_type:
        if not nested.options.map_entry:
            yield from ("    " + line for line in message_lines(nested))
    arguments = []
    for field in message.field:
        read, given = field_types(message, field)
        yield f"    {field.name}: {read}"
        arguments.append(f"{field.name}: Optional[{given}] = ...")
    yield f"    def __init__(self{', *, ' if arguments else ''}{', '.join(arguments)}) -> None: ..."


def module_texts(files: descriptor_pb2.FileDescriptorSet, package: str) -> Dict[str, str]:
    own = [file for file in files.file if file.package == package]
    names = [kind.name for file in own for kind in (*file.message_type, *file.enum_type)]
    lines = [TYPES]
    for file in own:
        for enum in file.enum_type:
            lines.extend(enum_lines(enum))
        for message in file.message_type:
            lines.extend(message_lines(message))
    # A set is as good as its imports: each module brings all that its files need.
    code = CODE.format(package=package, names=names, descriptors=files.SerializeToString())
    return {".py": code, ".pyi": "\n".join(lines) + "\n"}


def generate(protos: str, output: str) -> None:
    files = descriptors_of(protos)
    for file in files.file:
        file.ClearField("source_code_info")
    for module, package in MODULES.items():
        for suffix, text in module_texts(files, package).items():
            with open(os.path.join(output, module + suffix), "w", encoding="utf-8") as target:
                target.write(text)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    generate(sys.argv[1], sys.argv[2])
