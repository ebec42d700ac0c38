"""Paths inside the rootfs, in the simulator: which calls, on which descriptors."""

from errno import EAGAIN, EEXIST, ELOOP, ENOENT, ENOTDIR
from struct import unpack

import pytest

from pyrunc.kernel.constants import O_CREAT, O_EXCL, O_NOFOLLOW, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS
from pyrunc.program.builder import Program
from pyrunc.program.operations import MAX_REGISTERS
from pyrunc.program.simulator import Run, simulate
from pyrunc.rootfs.paths import TRIES, RootPaths, clean_path

ROOT = 7


@pytest.mark.parametrize(("path", "clean"), [
    ("/", "/"), ("", "/"), ("//", "/"), (".", "/"), ("..", "/"), ("a", "/a"), ("/a/", "/a"), ("/a//b/./c", "/a/b/c"),
    ("/a/../b", "/b"), ("/../../a", "/a"), ("a/b/../../..", "/"), ("/a/...", "/a/..."), ("/dev/x/", "/dev/x"),
    ("/ a /b", "/ a /b"), ("/a\n/b", "/a\n/b"), ("/\udcff/x", "/\udcff/x"),
])  # fmt: skip
def test_clean_path(path: str, clean: str) -> None:
    assert clean_path(path) == clean
    assert clean_path(clean) == clean


def program() -> tuple[Program, RootPaths]:
    p = Program()
    root = p.register()
    p.set(root, ROOT)
    return p, RootPaths(p, root)


def paths_opened(run: Run) -> list[object]:
    assert all(call[0] == ROOT for call in run.calls("openat2"))
    return [call[1] for call in run.calls("openat2")]


def test_every_open_is_in_the_root_without_magic_links() -> None:
    p, paths = program()
    paths.open_or_make_directory("/a/b/c")
    paths.open_or_make_file("/a/b/d")
    paths.open_ordinary_directory("/proc", "no")
    run = simulate(p, {"openat2": [-ENOENT]})
    for _root, _path, how, size in run.calls("openat2"):
        assert size == 24
        assert isinstance(how, bytes)
        resolve = unpack("<QQQ", how)[2]
        assert resolve & (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) == RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


@pytest.mark.parametrize("failures", [0, 1, TRIES, TRIES + 1])
def test_eagain_is_tried_again(failures: int) -> None:
    p, paths = program()
    paths.open_existing("/a")
    run = simulate(p, {"openat2": [-EAGAIN] * failures})
    assert len(run.calls("openat2")) == min(failures, TRIES) + 1
    assert (run.failure and run.failure[1]) == (EAGAIN if failures > TRIES else None)


def test_what_exists_is_opened_and_nothing_is_made() -> None:
    p, paths = program()
    paths.open_or_make_directory("/a/b/c")
    run = simulate(p)
    assert run.names() == ["openat2"]
    assert paths_opened(run) == ["/a/b/c"]


def test_what_is_missing_is_made_from_the_top_one_name_at_a_time() -> None:
    p, paths = program()
    paths.open_or_make_directory("/a/b/c")
    run = simulate(p, {"openat2": [-ENOENT]})
    assert paths_opened(run) == ["/a/b/c", "/a", "/a/b", "/a/b/c"]
    made = run.calls("mkdirat")
    assert [call[1:] for call in made] == [("a", 0o755), ("b", 0o755), ("c", 0o755)]
    first, second, third = (call[0] for call in made)
    assert first == ROOT
    assert [call[0] for call in run.calls("close")] == [second, third]


def test_what_appeared_meanwhile_is_fine() -> None:
    p, paths = program()
    paths.open_or_make_directory("/a/b")
    assert simulate(p, {"openat2": [-ENOENT], "mkdirat": -EEXIST}).ended == "end"


def test_a_file_is_made_exclusively_and_closed() -> None:
    p, paths = program()
    paths.open_or_make_file("/a/f")
    run = simulate(p, {"openat2": [-ENOENT]})
    ((_directory, name, flags, mode),) = run.calls("openat")
    assert (name, mode) == ("f", 0o644)
    assert isinstance(flags, int)
    assert flags & (O_CREAT | O_EXCL | O_NOFOLLOW) == O_CREAT | O_EXCL | O_NOFOLLOW
    assert len(run.calls("close")) == 2


def test_a_file_in_the_root_itself() -> None:
    p, paths = program()
    paths.open_or_make_file("f")
    run = simulate(p, {"openat2": [-ENOENT]})
    assert run.calls("openat")[0][:2] == (ROOT, "f")
    assert run.calls("mkdirat") == []


@pytest.mark.parametrize("errno", [ELOOP, ENOTDIR])
@pytest.mark.parametrize("at", range(4))
def test_an_ordinary_directory_is_reached_without_links(errno: int, at: int) -> None:
    """The sentence is the same, wherever on the way the link is: whole path, first name, second name, last."""
    p, paths = program()
    paths.open_ordinary_directory("/a/b/proc", "not ordinary")
    results = [-ENOENT, 50, 51, 52]
    results[at] = -errno
    if at == 0:
        results = [-errno, -errno]
    run = simulate(p, {"openat2": list(results)})
    assert run.failure is not None
    assert p.operations[run.failure[0]].label.failure(run.failure[1]) == "not ordinary"


def test_registers_are_given_back() -> None:
    p, paths = program()
    for path in ("/a/b/c", "/x", "/"):
        for opened in (paths.open_or_make_directory(path), paths.open_existing(path)):
            p.close(opened)
    p.close(paths.open_ordinary_directory("/a/b/c", ""))
    rest = {p.register().index for _ in range(MAX_REGISTERS - 1)}  # all but the root's
    assert len(rest) == MAX_REGISTERS - 1
