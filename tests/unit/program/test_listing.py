"""What a person reads of a program."""

from __future__ import annotations

import ast
from errno import EEXIST, EINVAL, ENOENT, ENOSYS, ENOTDIR
from pathlib import Path

import pytest

from pyrunc.kernel.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    CLONE_NEWNS,
    CLONE_NEWTIME,
    F_DUPFD_CLOEXEC,
    MOUNT_ATTR_NOSUID,
    MS_BIND,
    MS_REC,
    O_CLOEXEC,
    O_PATH,
    PR_SET_PDEATHSIG,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    S_IFMT,
    STATX_BASIC_STATS,
)
from pyrunc.program.builder import Program
from pyrunc.program.listing import as_text, list_program
from pyrunc.program.numbers import NUMBERS
from pyrunc.program.signatures import SIGNATURES

RUNTIME = Path(__file__).resolve().parents[3] / "runtime/pyrunc"


def texts(p: Program) -> list[str]:
    return [line.text for line in list_program(p)]


def only(p: Program) -> str:
    (text,) = texts(p)
    return text


def call(name: str, *arguments: int | str | bytes) -> str:
    p = Program()
    p.call(name, *arguments)
    return only(p)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("openat", (AT_FDCWD, "/proc", O_PATH | O_CLOEXEC, 0), 'openat(AT_FDCWD, "/proc", O_CLOEXEC|O_PATH, 0)'),
        ("openat", (5, "x", 0), 'openat(5, "x", O_RDONLY)'),
        ("mkdirat", (5, "a b", 0o755), 'mkdirat(5, "a b", 0755)'),
        ("mount", ("/a", "/b", 0, MS_BIND | MS_REC, 0), 'mount("/a", "/b", NULL, MS_BIND|MS_REC, NULL)'),
        ("mount", ("", "/b", 0, MS_BIND | 1 << 60, 0), 'mount("", "/b", NULL, MS_BIND|0x1000000000000000, NULL)'),
        ("unshare", (CLONE_NEWNS | CLONE_NEWTIME,), "unshare(CLONE_NEWNS|CLONE_NEWTIME)"),
        ("clone", (17, 0, 0, 0, 0), "clone(signal 17, 0, 0, 0, 0)"),
        ("prctl", (PR_SET_PDEATHSIG, 9), "prctl(PR_SET_PDEATHSIG, SIGKILL)"),
        ("fcntl", (3, F_DUPFD_CLOEXEC, 10), "fcntl(3, F_DUPFD_CLOEXEC, 10)"),
        ("mknodat", (5, "null", 0o20666, 0x103), 'mknodat(5, "null", 020666, 1:3)'),
        ("mknodat", (5, "big", 0o60600, 0x12345678), 'mknodat(5, "big", 060600, 1110:74616)'),
        ("setresuid", (-1, 0, 4294967294), "setresuid(-1, 0, 4294967294)"),
        ("a_call_of_2031", (1, "text", 1 << 40), 'a_call_of_2031(1, "text", 0x10000000000)'),
        ("chdir", ('quote" back\\ \n \x7f é \udcff',), 'chdir("quote\\" back\\\\ \\x0a \\x7f é \\xff")'),
    ],
)
def test_calls(name: str, arguments: tuple[int | str, ...], text: str) -> None:
    assert call(name, *arguments) == text


def test_long_strings_are_cut() -> None:
    assert call("chdir", "x" * 4000) == f'chdir("{"x" * 120}…")'


def test_registers_and_what_is_tolerated() -> None:
    p = Program()
    end = p.target()
    directory = p.result("openat", AT_FDCWD, "/", O_PATH)
    p.call("mkdirat", directory, "a", 0o700, tolerate=(EEXIST,))
    p.call("openat", directory, "b", 0, tolerate=(ENOENT, ENOTDIR), otherwise=end)
    p.close(directory)
    p.here(end)
    lines = list_program(p)
    assert lines[0].text == f'{directory!r} = openat(AT_FDCWD, "/", O_PATH)'
    assert [line.exceptions for line in lines] == ["", "EEXIST: on", "ENOENT, ENOTDIR: 4", ""]
    assert lines[3].text == f"close({directory!r})"


def test_structures_are_decoded() -> None:
    p = Program()
    flags, resolve = O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
    how = p.constant(flags.to_bytes(8, "little") + bytes(8) + resolve.to_bytes(8, "little"))
    p.call("openat2", 5, "proc", how, 24)
    p.call("mount_setattr", 5, "", AT_EMPTY_PATH, p.constant(bytes(8) + MOUNT_ATTR_NOSUID.to_bytes(8, "little")), 32)
    p.call("mount_setattr", 5, "", AT_EMPTY_PATH, p.constant(bytes(32)), 32)
    assert texts(p) == [
        'openat2(5, "proc", {flags=O_CLOEXEC|O_PATH, resolve=RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS}, 24)',
        'mount_setattr(5, "", AT_EMPTY_PATH, {clear=MOUNT_ATTR_NOSUID}, 32)',
        'mount_setattr(5, "", AT_EMPTY_PATH, {}, 32)',
    ]


def test_the_environment_keeps_its_values_to_itself() -> None:
    """What `explain` prints ends up in bug reports."""
    p = Program()
    p.call("execve", "/bin/sh", p.pointers(["sh", "-c", "x"]), p.pointers(["PASSWORD=secret", "A=b=c", "odd"]))
    assert only(p) == 'execve("/bin/sh", ["sh", "-c", "x"], ["PASSWORD=…", "A=…", "odd=…"])'


def test_memory_without_a_type() -> None:
    p = Program()
    p.call("write", 5, p.constant(b"max 100\n"), 8)
    p.call("capset", p.constant(b"\x22\x05\x08\x20\0\0\0\0"), p.scratch(24))
    p.call("setgroups", 2, p.constant(b"\5\0\0\0\xe8\3\0\0"))
    p.call("seccomp", 1, 0, p.structure((300).to_bytes(2, "little") + bytes(14), [(8, p.constant(bytes(2400)))]))
    assert texts(p) == [
        'write(5, "max 100\\x0a", 8)',
        "capset(<2205082000000000, 8 bytes>, <24 bytes at 16>)",
        "setgroups(2, [5, 1000])",
        "seccomp(SECCOMP_SET_MODE_FILTER, 0, {300 instructions})",
    ]


def test_checks_name_the_field_and_who_wrote_it() -> None:
    p = Program()
    status = p.scratch(256)
    p.call("statx", 5, "", AT_EMPTY_PATH, STATX_BASIC_STATS, status)
    p.check(status.field(28, 2), 0o40000, mask=S_IFMT, doing="is a directory", errno=ENOTDIR)
    other = p.scratch(256)
    p.call("statx", 6, "", AT_EMPTY_PATH, STATX_BASIC_STATS, other)
    p.check(status.field(144, 8), other.field(144, 8), doing="same mount", errno=EINVAL, differs=True)
    p.check(status.field(200, 4), 7, doing="what was found", errno=0)
    p.check(p.constant(b"\1"), 1, doing="a constant", errno=EINVAL)
    lines = list_program(p)
    assert [line.text for line in lines if line.kind == "check"] == [
        "check 0.stx_mode & 0170000 == 040000",
        "check 0.stx_mnt_id != 2.stx_mnt_id",
        "check 0[200:204] == 7",
        "check <01, 1 bytes> == 1",
    ]
    assert [line.exceptions for line in lines if line.kind == "check"] == [
        "else ENOTDIR",
        "else EINVAL",
        "else what was found",
        "else EINVAL",
    ]


def test_the_other_kinds() -> None:
    p = Program()
    end, register = p.target(), p.register()
    p.set(register, 7)
    p.jump_if(register, 7, end, differs=True)
    p.jump(end)
    p.sync(4, "ready", register, p.scratch(8))
    p.sync(1, "map ids")
    p.report(register)
    p.here(end)
    assert texts(p) == [
        f"{register!r} = 7",
        f"if {register!r} != 7: go to 6",
        "go to 6",
        f"sync 4 (ready) and tell {register!r}",
        "sync 1 (map ids)",
        f"report failures to {register!r}",
    ]
    assert [line.target for line in list_program(p)] == [None, 6, 6, None, None, None]


def test_headings_say_where_it_came_from() -> None:
    p = Program()
    p.call("setsid", doing="become a session leader")
    with p.at("mounts[3]", "/proc"):
        p.call("fsopen", "proc", 1, doing="mount proc")
        p.call("close", 5, doing="close")
    p.call("setsid")
    opened = 'fsopen("proc", FSOPEN_CLOEXEC)'
    assert as_text(list_program(p)) == [
        "(the runtime's own)",
        f"     0  {'setsid()':<60}  become a session leader",
        "",
        "mounts[3] /proc",
        f"     1  {opened:<60}  mount proc",
        f"     2  {'close(5)':<60}  close",
        "",
        "(the runtime's own)",
        "     3  setsid()",
    ]


def test_json_has_what_has_a_value() -> None:
    p = Program()
    with p.at("mounts[3]", "/proc"):
        p.call("fsopen", "proc", 1, doing="mount proc", tolerate=(ENOSYS,))
    assert list_program(p)[0].as_json() == {
        "doing": "mount proc",
        "exceptions": "ENOSYS: on",
        "index": 0,
        "kind": "call",
        "place": "mounts[3]",
        "subject": "/proc",
        "text": 'fsopen("proc", FSOPEN_CLOEXEC)',
    }


@pytest.fixture(scope="module")
def emitted() -> set[str]:
    """The names of all system calls that the runtime's emitters can emit."""
    names = set()
    for path in RUNTIME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("call", "result")
            ):
                first = node.args[0] if node.args else None
                # A method of D-Bus is spelled in capitals.
                if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value.islower():
                    names.add(first.value)
    return names


def test_every_call_that_is_emitted_has_a_signature(emitted: set[str]) -> None:
    assert len(emitted) > 30
    assert emitted - set(SIGNATURES) == set(), "add them to program/signatures.py"


def test_every_call_that_is_emitted_exists_on_both_architectures(emitted: set[str]) -> None:
    for architecture, numbers in NUMBERS.items():
        assert emitted - set(numbers) == set(), architecture
