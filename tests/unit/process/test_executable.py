"""process.args and process.env, as values and in the simulator."""

from __future__ import annotations

from errno import EACCES, ENOENT

import pytest

from ocispec.config import Process, User
from pyrunc.errors import ConfigError
from pyrunc.process.executable import build_environment, candidates, emit_execve, emit_lookup, quote, variable
from pyrunc.process.passwd import MAX_HOME
from pyrunc.program.builder import Program
from pyrunc.program.simulator import Memory, Run, simulate


def process(*args: str, env: tuple[str, ...] = ()) -> Process:
    return Process(args=args or ("x",), cwd="/", user=User(uid=0, gid=0), env=env)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("x", '"x"'), ('a"b\\', '"a\\"b\\\\"'), ("a\nb\tc\r", '"a\\nb\\tc\\r"'), ("\x01\x7f", '"\\x01\\x7f"'),
        ("ü", '"ü"'), ("\udcff", '"\\xff"'), ("\u200b", '"\\u200b"'), ("\U000e0001", '"\\U000e0001"'), ("", '""'),
    ],
)  # fmt: skip
def test_quote_is_gos(text: str, quoted: str) -> None:
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("name", "env", "paths"),
    [
        ("sh", ("PATH=/a:/b",), ["/a/sh", "/b/sh"]),
        ("sh", ("PATH=/a:/b:/a",), ["/a/sh", "/b/sh"]),
        ("sh", ("PATH=/a", "PATH=/b"), ["/b/sh"]),
        ("sh", ("PATH=:/b:",), ["./sh", "/b/sh"]),
        ("sh", ("PATH=rel",), ["rel/sh"]),
        ("sh", (), []),
        ("sh", ("PATH=",), []),
        ("sh", ("XPATH=/a",), []),
        ("/bin/sh", (), ["/bin/sh"]),
        ("./sh", ("PATH=/a",), ["./sh"]),
        ("a/", ("PATH=/a",), ["a/"]),
        ("sh", ("PATH=/" + "x" * 300 + ":/b",), ["/b/sh"]),
        ("sh", ("PATH=/" + "x/" * 2100 + ":/b",), ["/b/sh"]),
    ],
)
def test_candidates(name: str, env: tuple[str, ...], paths: list[str]) -> None:
    assert candidates(process(name, env=env)) == paths


def test_a_path_without_end_is_refused() -> None:
    path = "PATH=" + ":".join(f"/{n}" for n in range(1025))
    with pytest.raises(ConfigError, match="more than 1024 directories"):
        candidates(process("x", env=(path,)))


def test_the_last_variable_counts() -> None:
    wanted = process(env=("A=1", "AB=2", "A=3", "A"))
    assert (variable(wanted, "A"), variable(wanted, "AB"), variable(wanted, "B")) == ("3", "2", "")


def files(**modes: int) -> object:
    """statx of /NAME/x for each NAME; ENOENT for others."""

    def statx(_fd: int, path: str, _flags: int, _mask: int, status: Memory) -> int:
        mode = modes.get(path.split("/")[1])
        if mode is None:
            return -ENOENT
        status.write(mode.to_bytes(2, "little"), 0x1C)
        return 0

    return statx


def born(wanted: Process, kernel: dict[str, object]) -> tuple[Program, Run]:
    p = Program()
    found = emit_lookup(p, wanted)
    envp, _ = build_environment(p, wanted)
    emit_execve(p, wanted, found, envp)
    return p, simulate(p, kernel)


WANTED = process("x", "arg", env=("PATH=/a:/b:/c",))


@pytest.mark.parametrize(
    ("statx", "access", "executed"),
    [
        (files(a=0o100755), 0, "/a/x"),
        (files(b=0o100755, c=0o100755), 0, "/b/x"),
        (files(a=0o040755, c=0o100755), 0, "/c/x"),
        (files(a=0o100644, b=0o100755), [-EACCES, 0], "/b/x"),
        ([-EACCES, -EACCES, 0], 0, ""),
    ],
)
def test_which_is_executed(statx: object, access: object, executed: str) -> None:
    p, ran = born(WANTED, {"statx": statx, "faccessat2": access})
    if executed:
        assert [call[0] for call in ran.calls("execve")] == [executed]
        assert ran.ended == "execve"
    else:
        assert ran.failure is not None
        text = p.operations[ran.failure[0]].label.failure(ran.failure[1])
        assert text == 'exec: "x": executable file not found in $PATH'


def test_argv_and_envp() -> None:
    seen: list[list[str]] = []

    def words(array: Memory) -> list[str]:
        return [array.at(8 * i).text() for i in range(len(array) // 8 - 1)]

    def execve(_path: str, argv: Memory, envp: Memory) -> int:
        seen.extend([words(argv), words(envp)])
        return 0

    wanted = process("/x", "", "two words", env=("A=1", "B=2", "A=3"))
    born(wanted, {"statx": lambda *a: a[-1].write((0o100755).to_bytes(2, "little"), 0x1C) or 0, "execve": execve})
    assert seen == [["/x", "", "two words"], ["B=2", "A=3", "HOME=/"]]


def test_the_home_slot_takes_the_longest_home() -> None:
    p = Program()
    _, slot = build_environment(p, process(env=("HOME=",)))
    assert slot is not None
    assert slot.size == len(b"HOME=" + b"h" * MAX_HOME + b"\0")
    assert bytes(p.data[slot.offset :]).startswith(b"HOME=/\0")


def test_a_nul_byte_is_refused() -> None:
    with pytest.raises(ConfigError, match="NUL"):
        build_environment(Program(), process(env=("A=1\0B=2",)))
