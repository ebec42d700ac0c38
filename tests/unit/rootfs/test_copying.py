"""The program that copies a directory: what is called, for a listing that is given."""

from errno import EAGAIN, ENOSPC

import pytest

from pyrunc.kernel.constants import (
    AT_FDCWD,
    AT_SYMLINK_NOFOLLOW,
    O_CREAT,
    O_EXCL,
    O_NOFOLLOW,
    O_PATH,
    RESOLVE_BENEATH,
    RESOLVE_NO_SYMLINKS,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFREG,
)
from pyrunc.kernel.listing import Entry
from pyrunc.process.copyup import id_inside
from pyrunc.program.builder import Program
from pyrunc.program.simulator import Memory, Run, simulate
from pyrunc.rootfs.copying import Copying, emit_copy, emit_hand_over
from unit.rootfs.test_programs import inputs

SOURCE, TMPFS, SPARE = 40, 41, 99
CHUNK = 0x7FFFF000


def entry(name: str, kind: int, **more: int | str) -> Entry:
    values = {"mode": 0o640, "uid": 1000, "gid": 1001, "size": 0, "device": 0, "link": ""} | more
    return Entry(name=name, kind=kind, **values)  # type: ignore[arg-type]


def compiled(*entries: Entry, directory: str = "") -> Program:
    p = Program()
    source, tmpfs = p.register(), p.register()
    p.set(source, SOURCE)
    p.set(tmpfs, TMPFS)
    emit_copy(Copying(p, source, tmpfs, SPARE, lambda uid, gid: (uid - 1000, gid - 1000)), directory, entries)
    return p


def regular(_fd: int, _path: str, _flags: int, _mask: int, buffer: Memory) -> int:
    buffer.write((S_IFREG | 0o644).to_bytes(2, "little"), 28)
    return 0


def run(p: Program, **kernel: object) -> Run:
    return simulate(p, {"statx": regular, **kernel})  # type: ignore[arg-type]


def why(p: Program, ran: Run) -> str:
    assert ran.failure is not None
    return p.operations[ran.failure[0]].label.failure(ran.failure[1])


def test_a_directory_is_reached_below_the_descriptor_and_without_links() -> None:
    ran = run(compiled(directory="a/b"))
    resolve = (RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS).to_bytes(8, "little")
    assert [(call[0], call[1], call[2][16:]) for call in ran.calls("openat2")] == [  # type: ignore[index]
        (SOURCE, "a/b", resolve),
        (TMPFS, "a/b", resolve),
    ]


@pytest.mark.parametrize(("made", "call", "arguments"), [
    (entry("d", S_IFDIR), "mkdirat", (101, "d", 0o700)),
    (entry("l", S_IFLNK, link="/etc/passwd"), "symlinkat", ("/etc/passwd", 101, "l")),
    (entry("f", S_IFIFO), "mknodat", (101, "f", S_IFIFO, 0)),
    (entry("c", S_IFCHR, device=0x103), "mknodat", (101, "c", S_IFCHR, 0x103)),
])  # fmt: skip
def test_what_is_no_file_is_never_opened(made: Entry, call: str, arguments: tuple[object, ...]) -> None:
    ran = run(compiled(made))
    assert ran.calls(call) == [arguments]
    assert ran.calls("openat") == []
    assert ran.calls("fchownat") == [(101, made.name, 0, 1, AT_SYMLINK_NOFOLLOW)]
    # fchmodat(2) follows links: never on one
    assert ran.calls("fchmodat") == ([] if made.kind == S_IFLNK else [(101, made.name, 0o640)])


def test_the_mode_comes_after_the_owner() -> None:
    ran = run(compiled(entry("f", S_IFREG, mode=0o4755)))
    names = [step.name for step in ran.trace]
    assert names.index("fchownat") < names.index("fchmodat")
    assert ran.calls("fchmodat") == [(101, "f", 0o4755)]


def test_a_file_is_looked_at_before_it_is_opened() -> None:
    ran = run(compiled(entry("f", S_IFREG, size=5)), sendfile=5)
    copy, found, reading = (call[:3] for call in ran.calls("openat"))
    assert copy[:2] == (101, "f")
    assert copy[2] & (O_CREAT | O_EXCL | O_NOFOLLOW) == O_CREAT | O_EXCL | O_NOFOLLOW  # type: ignore[operator]
    assert found[:2] == (100, "f")
    assert found[2] & (O_PATH | O_NOFOLLOW) == O_PATH | O_NOFOLLOW  # type: ignore[operator]
    assert reading[:2] == (AT_FDCWD, f"/proc/self/fd/{SPARE}")
    assert len(ran.calls("sendfile")) == 1
    opened = {step.result for step in ran.trace if step.name in ("openat", "openat2")}
    assert {call[0] for call in ran.calls("close")} == {*opened, SPARE}


def test_an_empty_file_is_not_opened() -> None:
    assert [call[0] for call in run(compiled(entry("f", S_IFREG))).calls("openat")] == [101]


@pytest.mark.parametrize("kind", [S_IFLNK, S_IFDIR, S_IFCHR, S_IFIFO])
def test_a_file_that_became_something_else_is_not_opened(kind: int) -> None:
    def changed(_fd: int, _path: str, _flags: int, _mask: int, buffer: Memory) -> int:
        buffer.write((kind | 0o644).to_bytes(2, "little"), 28)
        return 0

    p = compiled(entry("f", S_IFREG, size=5), directory="a")
    ran = run(p, statx=changed)
    assert why(p, ran) == ("tmpcopyup: copy a/f: it was changed meanwhile: EAGAIN (resource temporarily unavailable)")
    assert ran.failure is not None
    assert ran.failure[1] == EAGAIN
    assert len(ran.calls("openat")) == 2


@pytest.mark.parametrize(("size", "results", "calls"), [
    (CHUNK + 1, [CHUNK, 1], 2),  # more than one call moves
    (2 * CHUNK, [CHUNK, 0], 2),  # it has shrunk to half
    (7, [0], 1),  # it is empty now
    (7, [3, 0], 2),  # it has shrunk
    (7, [3, 2, 2], 3),  # it is not moved at once
])  # fmt: skip
def test_content(size: int, results: list[int], calls: int) -> None:
    ran = run(compiled(entry("f", S_IFREG, size=size)), sendfile=results)
    assert ran.ended == "end"
    assert len(ran.calls("sendfile")) == calls


def test_a_full_tmpfs_is_told() -> None:
    p = compiled(entry("f", S_IFREG, size=7))
    assert why(p, run(p, sendfile=[3, -ENOSPC])) == "tmpcopyup: copy f: ENOSPC (no space left on device)"


def test_both_directories_and_the_user_namespace_are_handed_over() -> None:
    p = Program()
    given = inputs(sync_hand_over=5, sync_copy_up=6)
    source, tmpfs = p.register(), p.register()
    p.set(source, SOURCE)
    p.set(tmpfs, TMPFS)
    emit_hand_over(p, given, source, tmpfs, 3)
    ran = simulate(p, {})
    assert [step.name for step in ran.trace if step.name not in ("close", "dup3", "openat")] == [
        "tmpcopyup: hand over the directories", "sendmsg", "sendmsg", "sendmsg", "tmpcopyup: copy",
    ]  # fmt: skip
    assert [call[0] for call in ran.calls("dup3")] == [SOURCE, TMPFS, 100]
    assert {call[0] for call in ran.calls("sendmsg")} == {3}


@pytest.mark.parametrize(("outside", "inside"), [
    (1000, 0), (1001, 1), (1009, 9), (1010, 65534), (0, 65534), (5000, 100), (4294967294, 65534),
])  # fmt: skip
def test_ids_as_the_user_namespace_has_them(outside: int, inside: int) -> None:
    assert id_inside([(0, 1000, 10), (100, 5000, 1)], outside) == inside
