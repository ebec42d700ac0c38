"""The committed system call tables are what libseccomp, the kernel's headers and the generator say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import seccomp_oracle
from pyrunc.program.numbers import NUMBERS
from pyrunc.security import syscall_tables
from pyrunc.security.syscalls import (
    ABSENT,
    NATIVE,
    SOCKETCALL,
    X32_BIT,
    Architecture,
    columns,
    is_architecture,
    multiplexed_calls,
)

if TYPE_CHECKING:
    from types import ModuleType

GENERATOR = Path(__file__).resolve().parents[3] / "csrc/generate_syscalls.py"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_syscalls", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(name: str) -> dict[str, int]:
    architecture = Architecture(name)
    return {
        call: architecture.numbers[column] + architecture.base
        for call, column in columns().items()
        if architecture.numbers[column] != ABSENT
    }


@pytest.mark.parametrize("name", list(syscall_tables.TOKENS))
def test_table_is_libseccomps(generator: ModuleType, name: str) -> None:
    """Whatever libseccomp is installed: what it knows we know alike, and what it does not know is in NEWER."""
    short = name.removeprefix("SCMP_ARCH_")
    theirs = generator.known_to_libseccomp(short, seccomp_oracle.token(name))
    ours = table(name)
    assert len(theirs) > 300
    assert {call: number for call, number in ours.items() if call in theirs} == theirs
    assert set(ours) - set(theirs) <= {*generator.NEWER, *generator.NEWER_ALONE.get(short, {})}


def test_every_architecture_of_libseccomp_has_a_table(generator: ModuleType) -> None:
    tokens = {f"SCMP_ARCH_{name}": token for name, token in generator.architectures().items()}
    assert tokens == syscall_tables.TOKENS
    assert set(syscall_tables.ROWS) == set(tokens)


def test_generated_file_is_fresh(generator: ModuleType) -> None:
    assert generator.TARGET.read_text() == generator.render()


@pytest.mark.parametrize("machine", list(NATIVE))
def test_native_numbers_are_the_headers(machine: str) -> None:
    ours = table(NATIVE[machine])
    assert {call: ours.get(call) for call in NUMBERS[machine]} == NUMBERS[machine]


def test_newer_calls_have_one_number_everywhere() -> None:
    numbers = {name: table(name)["statmount"] for name in syscall_tables.TOKENS}
    offsets = {"MIPS": 4000, "MIPSEL": 4000, "MIPS64": 5000, "MIPSEL64": 5000, "MIPS64N32": 6000, "MIPSEL64N32": 6000}
    for name, number in numbers.items():
        short = name.removeprefix("SCMP_ARCH_")
        assert number == 457 + offsets.get(short, X32_BIT if short == "X32" else 0), name


@pytest.mark.parametrize(
    ("name", "audit", "bits", "little"),
    [
        ("SCMP_ARCH_X86_64", 0xC000003E, 64, True),
        ("SCMP_ARCH_X32", 0xC000003E, 32, True),
        ("SCMP_ARCH_X86", 0x40000003, 32, True),
        ("SCMP_ARCH_AARCH64", 0xC00000B7, 64, True),
        ("SCMP_ARCH_ARM", 0x40000028, 32, True),
        ("SCMP_ARCH_MIPSEL64N32", 0xE0000008, 32, True),
        ("SCMP_ARCH_S390X", 0x80000016, 64, False),
        ("SCMP_ARCH_PPC64LE", 0xC0000015, 64, True),
    ],
)
def test_architecture(name: str, audit: int, bits: int, little: bool) -> None:
    architecture = Architecture(name)
    assert (architecture.audit, architecture.bits, architecture.little) == (audit, bits, little)


def test_arm_private_calls() -> None:
    assert table("SCMP_ARCH_ARM")["set_tls"] == 0x0F0005
    assert table("SCMP_ARCH_ARM")["cacheflush"] == 0x0F0002


def test_multiplexed_codes_are_libseccomps() -> None:
    """libseccomp numbers them -100 - code and -200 - code where they are multiplexed."""
    for name, (parent, code) in multiplexed_calls().items():
        assert -seccomp_oracle.resolved("SCMP_ARCH_X86", name) == code + (100 if parent == "socketcall" else 200), name
    assert SOCKETCALL.index("sendmmsg") == 20  # SYS_SENDMMSG, linux/net.h


def test_unknown_architecture() -> None:
    assert not is_architecture("SCMP_ARCH_VAX")
    assert is_architecture("SCMP_ARCH_X86")
