"""operations.py and the C that assembles and runs operations are two halves of one protocol."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pyrunc.kernel import constants
from pyrunc.program import encode, operations
from pyrunc.program.builder import Program

TOP = Path(__file__).resolve().parents[3]
HEADER = (TOP / "csrc/operation.h").read_text()
STAGE = (TOP / "csrc/stage.c").read_text()
NAMES = (
    *("CALL", "CHECK", "SET", "JUMP", "SYNC", "REPORT", "EACH"),
    *("IMMEDIATE", "POINTER", "REGISTER", "MAX_REGISTERS", "MAX_ARGUMENTS", "MAX_TOLERATED", "NEXT"),
)


def in_c(name: str, source: str = HEADER) -> int:
    found = re.findall(rf"\b{name} = (\w+)", source)
    assert len(found) == 1, f"{name} stands {len(found)} times"
    return int(found[0], 0)


@pytest.mark.parametrize("name", NAMES)
def test_operations(name: str) -> None:
    assert in_c(name) == getattr(operations, name)


def test_the_names_are_all_there_are() -> None:
    """A kind or limit that is added to operations.py has to be added to NAMES."""
    numbers = {name for name, value in vars(operations).items() if name.isupper() and isinstance(value, int)}
    assert numbers - {"TYPE_CHECKING"} == set(NAMES)


def test_encode() -> None:
    assert in_c("NO_REGISTER") == encode.NO_REGISTER
    magic = re.search(r"#define MAGIC (\w+)ULL", HEADER)
    assert magic
    assert int(magic[1], 16).to_bytes(8, "little") == encode.encode(Program(), {})[:8]


def test_constants_that_the_kernels_headers_do_not_export() -> None:
    assert in_c("MSG_NOSIGNAL", STAGE) == constants.MSG_NOSIGNAL


@pytest.mark.parametrize("compiler", ["gcc", "aarch64-linux-gnu-gcc"])
def test_layouts(compiler: str) -> None:
    """The offset of every field, as the compiler sees it, is what encode.py says."""
    offsets = {
        "kind": 0,
        "into": 1,
        "tolerated_count": 2,
        "negated": 3,
        "number": 4,
        "target": 6,
        "kinds": 8,
        "tolerated": 16,
        "arguments": 24,
    }
    asserts = [f"_Static_assert(offsetof(struct operation, {name}) == {at}, #a);" for name, at in offsets.items()]
    asserts.append(f"_Static_assert(sizeof(struct operation) == {encode.OPERATION_SIZE}, #a);")
    asserts.append(f"_Static_assert(sizeof(struct header) == {encode.HEADER_SIZE}, #a);")
    program = f'#include "{TOP}/csrc/stage.c"\n' + "\n".join(asserts).replace("#a", '"layout"')
    subprocess.run([compiler, "-fsyntax-only", "-x", "c", "-"], input=program, text=True, check=True)
