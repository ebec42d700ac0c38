"""The functions of csrc/helper.c, through both of their bindings: cffi's module, and the one inside the launcher.

HELPER names a directory whose built-in binding is to be taken instead of a new one: test_helper_bindings.py.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import struct
import subprocess
from fcntl import F_GETFD, FD_CLOEXEC, fcntl, ioctl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helper_module import BUILT_IN, CFFI, CSRC, build_modules, helper_of, library_over, load
from pyrunc.cgroups.layout import read_hierarchies

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC_MAGIC = 0x9FA0  # PROC_SUPER_MAGIC, linux/magic.h
RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS = 0x08, 0x04  # openat2(2)
AT_FDCWD = -100
OPEN_TREE_CLONE = 1
FUNCTIONS = load("binding", CSRC / "binding.py").read_functions((CSRC / "helper.h").read_text())
# C type -> the least and the greatest value that must not get through
OUTSIDE = {
    "int": (-(1 << 31) - 1, 1 << 31),
    "uint32_t": (-1, 1 << 32),
    "uint64_t": (-1, 1 << 64),
    "size_t": (-1, 1 << 64),
}
INTEGERS = [
    (function, index)
    for function in FUNCTIONS
    for index, parameter in enumerate(function.parameters)
    if not parameter.is_pointer
]
POINTERS = [
    (function, index)
    for function in FUNCTIONS
    for index, parameter in enumerate(function.parameters)
    if parameter.is_pointer
]


@pytest.fixture(scope="module")
def built_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("HELPER")
    return Path(given) if given else build_modules(tmp_path_factory.mktemp("built-in"))


@pytest.fixture(params=[CFFI, BUILT_IN])
def lib(request: pytest.FixtureRequest, built_in: Path) -> Any:
    return library_over(helper_of(request.param, built_in))


@pytest.fixture
def opened() -> Iterator[list[int]]:
    """Descriptors to close."""
    descriptors: list[int] = []
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


def keep(opened: list[int], descriptor: int) -> int:
    assert descriptor >= 0, os.strerror(-descriptor)
    assert fcntl(descriptor, F_GETFD) & FD_CLOEXEC
    opened.append(descriptor)
    return descriptor


# -- what both bindings refuse, before C sees it


def arguments(lib: Any, function: Any) -> list[Any]:
    """Valid for Python: nothing is called with them."""
    values = {
        "const char": b"/nonexistent",
        "const int": lib.integers(1),
        "int": lib.integers(1),
        "char": lib.buffer(8),
    }
    values["uint64_t"] = lib.unsigned()
    values["uint32_t"] = lib.unsigned_array(1)
    return [values[p.type] if p.is_pointer else 0 for p in function.parameters]


def shown(case: tuple[Any, int]) -> str:
    function, index = case
    return f"{function.name.removeprefix('pyrunc_')}-{function.parameters[index].name}"


@pytest.mark.parametrize("case", INTEGERS, ids=shown)
def test_integers_out_of_range(lib: Any, case: tuple[Any, int]) -> None:
    function, index = case
    for value in (*OUTSIDE[function.parameters[index].type], -(1 << 80), 1 << 80):
        given = arguments(lib, function)
        given[index] = value
        with pytest.raises(OverflowError):
            getattr(lib.helper, function.name)(*given)


@pytest.mark.parametrize("case", INTEGERS, ids=shown)
@pytest.mark.parametrize("value", [None, "1", b"1", 1.0, [1]], ids=repr)
def test_no_integers(lib: Any, case: tuple[Any, int], value: Any) -> None:
    function, index = case
    given = arguments(lib, function)
    given[index] = value
    with pytest.raises(TypeError):
        getattr(lib.helper, function.name)(*given)


@pytest.mark.parametrize("case", POINTERS, ids=shown)
@pytest.mark.parametrize("value", [None, "text", 7, 1.0], ids=repr)
def test_no_pointers(lib: Any, case: tuple[Any, int], value: Any) -> None:
    function, index = case
    given = arguments(lib, function)
    given[index] = value
    with pytest.raises(TypeError):
        getattr(lib.helper, function.name)(*given)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_number_of_arguments(lib: Any, function: Any) -> None:
    given = arguments(lib, function)
    for wrong in (given[:-1], [*given, 0]):
        with pytest.raises(TypeError):
            getattr(lib.helper, function.name)(*wrong)


def test_both_have_every_function_of_the_header(lib: Any) -> None:
    assert len(FUNCTIONS) > 12
    assert [function.name for function in FUNCTIONS if not callable(getattr(lib.helper, function.name, None))] == []


def test_results(lib: Any) -> None:
    assert lib.check(3) == 3
    with pytest.raises(OSError, match="No such file") as caught:
        lib.check(-errno.ENOENT)
    assert caught.value.errno == errno.ENOENT
    array = lib.integer_array([1, -2, (1 << 31) - 1])
    assert [array[i] for i in range(3)] == [1, -2, (1 << 31) - 1]


# -- what they do


def test_socketpair(lib: Any, opened: list[int]) -> None:
    pair = lib.integers(2)
    assert lib.helper.pyrunc_socketpair(socket.SOCK_STREAM, pair) == 0
    one, other = keep(opened, pair[0]), keep(opened, pair[1])
    os.write(one, b"through")
    assert os.read(other, 10) == b"through"
    assert lib.helper.pyrunc_socketpair(0x7FFF, pair) == -errno.EINVAL


def test_connect(lib: Any, opened: list[int], tmp_path: Path) -> None:
    path = str(tmp_path / "s").encode()
    assert lib.helper.pyrunc_connect_unix(path) == -errno.ENOENT
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        assert lib.helper.pyrunc_connect_unix(path) == -errno.ECONNREFUSED
        listener.listen()
        keep(opened, lib.helper.pyrunc_connect_unix(path))
    assert lib.helper.pyrunc_connect_unix(b"x" * 107) == -errno.ENOENT
    assert lib.helper.pyrunc_connect_unix(b"x" * 108) == -errno.ENAMETOOLONG


def test_datagrams(lib: Any, opened: list[int], tmp_path: Path) -> None:
    path = str(tmp_path / "d").encode()
    bound = keep(opened, lib.helper.pyrunc_bind_datagrams(path))
    with pytest.raises(BlockingIOError):
        os.read(bound, 10)
    os.write(keep(opened, lib.helper.pyrunc_connect_datagrams(path, len(path))), b"said")
    assert os.read(bound, 10) == b"said"
    assert lib.helper.pyrunc_bind_datagrams(path) == -errno.EADDRINUSE
    abstract = b"\0helper-%d" % os.getpid()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(abstract)
        os.write(keep(opened, lib.helper.pyrunc_connect_datagrams(abstract, len(abstract))), b"abstract")
        assert listener.recv(10) == b"abstract"
    assert lib.helper.pyrunc_connect_datagrams(b"x" * 108, 108) == -errno.ENAMETOOLONG


def test_descriptors_are_sent(lib: Any, opened: list[int]) -> None:
    one, other = socket.socketpair()
    with one, other, open("/proc/version", "rb") as file:
        assert lib.helper.pyrunc_send_descriptor(one.fileno(), b"name", 4, file.fileno()) == 4
        received = keep(opened, lib.helper.pyrunc_receive_descriptor(other.fileno(), lib.buffer(16), 16))
        assert os.path.sameopenfile(received, file.fileno())
        one.send(b"bare")
        assert lib.helper.pyrunc_receive_descriptor(other.fileno(), lib.buffer(16), 16) == -errno.EPROTO
        before = os.listdir("/proc/self/fd")
        for count in (2, 3, 10):  # the padding of a control message has room for one more than was asked for
            more = struct.pack(f"{count}i", *[file.fileno()] * count)
            one.sendmsg([b"more"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, more)])
            assert lib.helper.pyrunc_receive_descriptor(other.fileno(), lib.buffer(16), 16) == -errno.EPROTO
        assert os.listdir("/proc/self/fd") == before
        assert lib.helper.pyrunc_send_descriptor(one.fileno(), b"x", 1, -1) == -errno.EBADF
    assert lib.helper.pyrunc_receive_descriptor(-1, lib.buffer(16), 16) == -errno.EBADF


def test_openat2(lib: Any, opened: list[int], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to("file")
    top = os.open(tmp_path, os.O_PATH)
    opened.append(top)
    call = lib.helper.pyrunc_openat2
    assert os.read(keep(opened, call(top, b"file", os.O_RDONLY, 0, RESOLVE_BENEATH)), 10) == b"content"
    assert call(top, b"../x", os.O_RDONLY, 0, RESOLVE_BENEATH) == -errno.EXDEV
    assert call(top, b"link", os.O_RDONLY, 0, RESOLVE_NO_SYMLINKS) == -errno.ELOOP
    assert call(top, b"none", os.O_RDONLY, 0, 0) == -errno.ENOENT
    assert call(top, b"file", 1 << 63, 0, 0) == -errno.EINVAL
    assert call(-1, b"file", os.O_RDONLY, 0, 0) == -errno.EBADF


def test_trees(lib: Any, opened: list[int], tmp_path: Path) -> None:
    keep(opened, lib.helper.pyrunc_open_tree(AT_FDCWD, str(tmp_path).encode(), OPEN_TREE_CLONE))
    assert lib.helper.pyrunc_open_tree(AT_FDCWD, b"/nonexistent", 0) == -errno.ENOENT
    assert lib.helper.pyrunc_open_tree(AT_FDCWD, b"/", 0xFFFFFFFF) == -errno.EINVAL


def test_magic(lib: Any, opened: list[int]) -> None:
    opened.append(os.open("/proc", os.O_PATH))
    assert lib.helper.pyrunc_file_system_magic(opened[0]) == PROC_MAGIC
    assert lib.helper.pyrunc_file_system_magic(-1) == -errno.EBADF


def test_limits(lib: Any) -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        try:
            assert lib.helper.pyrunc_prlimit(child.pid, resource.RLIMIT_CORE, 0, 0) == 0
            assert resource.prlimit(child.pid, resource.RLIMIT_CORE) == (0, 0)
            assert lib.helper.pyrunc_prlimit(child.pid, 999, 0, 0) == -errno.EINVAL
            assert lib.helper.pyrunc_prlimit(child.pid, resource.RLIMIT_CORE, 2, 1) == -errno.EINVAL
        finally:
            child.kill()
    assert lib.helper.pyrunc_prlimit(child.pid, resource.RLIMIT_CORE, 0, 0) == -errno.ESRCH


def test_subreaper(lib: Any) -> None:
    assert lib.helper.pyrunc_set_child_subreaper(1) == 0
    assert lib.helper.pyrunc_set_child_subreaper(0) == 0


def test_signalfd(lib: Any, opened: list[int]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        file = keep(opened, lib.helper.pyrunc_signalfd(1 << (signal.SIGUSR1 - 1)))
        with pytest.raises(BlockingIOError):
            os.read(file, 128)
        signal.raise_signal(signal.SIGUSR1)
        assert struct.unpack_from("I", os.read(file, 128)) == (signal.SIGUSR1,)
        keep(opened, lib.helper.pyrunc_signalfd(0))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_close_on_exec(lib: Any, opened: list[int]) -> None:
    """From far above what the tests themselves have open."""
    opened.append(fcntl(0, 0, 900))  # F_DUPFD
    assert not fcntl(opened[0], F_GETFD) & FD_CLOEXEC
    assert lib.helper.pyrunc_close_on_exec_from(900) == 0
    assert fcntl(opened[0], F_GETFD) & FD_CLOEXEC
    assert lib.helper.pyrunc_close_on_exec_from(-1) == 0  # 0xffffffff: none


def test_signals_are_sent(lib: Any, opened: list[int]) -> None:
    with subprocess.Popen(["sleep", "100"]) as child:
        opened.append(os.pidfd_open(child.pid))
        assert lib.helper.pyrunc_send_signal(opened[0], 0) == 0
        assert lib.helper.pyrunc_send_signal(opened[0], 99) == -errno.EINVAL
        assert lib.helper.pyrunc_send_signal(opened[0], signal.SIGKILL) == 0
    assert child.returncode == -signal.SIGKILL
    assert lib.helper.pyrunc_send_signal(opened[0], 0) == -errno.ESRCH
    assert lib.helper.pyrunc_send_signal(-1, 0) == -errno.EBADF


def test_a_descriptor_is_taken(lib: Any, opened: list[int]) -> None:
    with subprocess.Popen(["sleep", "100"], stdout=subprocess.PIPE) as child:
        opened.append(os.pidfd_open(child.pid))
        taken = keep(opened, lib.helper.pyrunc_pidfd_getfd(opened[0], 1))
        assert os.readlink(f"/proc/self/fd/{taken}") == os.readlink(f"/proc/{child.pid}/fd/1")
        assert lib.helper.pyrunc_pidfd_getfd(opened[0], 99) == -errno.EBADF
        child.kill()
    assert lib.helper.pyrunc_pidfd_getfd(opened[0], 1) == -errno.ESRCH
    assert lib.helper.pyrunc_pidfd_getfd(-1, 1) == -errno.EBADF


def test_a_netlink_socket_elsewhere(lib: Any, opened: list[int]) -> None:
    """We stay where we are; the socket belongs to the other namespace (SIOCGSKNS, linux/sockios.h)."""
    ours = os.readlink("/proc/self/ns/net")
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 100"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        theirs = os.readlink(f"/proc/{child.pid}/ns/net")
        opened.append(os.open(f"/proc/{child.pid}/ns/net", os.O_RDONLY))
        made = keep(opened, lib.helper.pyrunc_netlink_socket(opened[0]))
        opened.append(ioctl(made, 0x894C))
        assert os.readlink(f"/proc/self/fd/{opened[-1]}") == theirs != ours
        child.kill()
    opened.append(os.open("/proc/self/ns/uts", os.O_RDONLY))
    assert lib.helper.pyrunc_netlink_socket(opened[-1]) == -errno.EINVAL
    assert lib.helper.pyrunc_netlink_socket(-1) == -errno.EBADF
    assert os.readlink("/proc/self/ns/net") == ours


def test_no_stage(lib: Any, opened: list[int]) -> None:
    """What cannot be executed is told by errno, and its process is gone."""
    call = lib.helper.pyrunc_spawn_stage
    pidfd = lib.integers(1)
    empty = os.memfd_create("empty", os.MFD_CLOEXEC)
    opened.append(empty)
    os.fchmod(empty, 0o755)
    assert call(empty, lib.integer_array([1, 2]), 2, 0, -1, pidfd) == -errno.ENOEXEC
    assert call(-1, lib.integers(1), 0, 0, -1, pidfd) == -errno.EBADF
    assert call(empty, lib.integer_array([0, 9999]), 2, 0, -1, pidfd) == -errno.EBADF
    assert call(empty, lib.integers(1), 1025, 0, -1, pidfd) == -errno.E2BIG
    assert call(empty, lib.integers(1), 0, 0, 9999, pidfd) == -errno.EBADF
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_program_in_the_place_of_the_stage(lib: Any, opened: list[int], tmp_path: Path) -> None:
    """Descriptors in their order, from 3 up, and nothing else; arguments and no environment."""
    file = os.open("/bin/busybox", os.O_RDONLY | os.O_CLOEXEC)
    read, write = os.pipe()
    extra = os.open("/proc/version", os.O_RDONLY)
    opened += [file, read, extra]
    os.set_inheritable(extra, True)
    pidfd = lib.integers(1)
    fds = [write, read, write]
    pid = lib.helper.pyrunc_spawn_stage(file, lib.integer_array(fds), len(fds), 0, -1, pidfd)
    assert pid > 0
    os.close(write)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 127  # busybox knows no applet `pyrunc`
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(keep(opened, pidfd[0]), 0)
    assert os.read(read, 10) == b""


# -- device programs of cgroup version 2

ANSWER_YES = bytes.fromhex("b400000001000000 9500000000000000")  # w0 = 1; exit
ALLOW_MULTI = 2  # BPF_F_ALLOW_MULTI, linux/bpf.h


@pytest.fixture
def v2_directory() -> Iterator[int]:
    hierarchy = next(one for one in read_hierarchies() if one.version == 2)
    path = Path(hierarchy.mountpoint) / f"pyrunc-test-{os.getpid()}-helper"
    path.mkdir()
    descriptor = os.open(path, os.O_PATH)
    yield descriptor
    os.close(descriptor)
    path.rmdir()


def test_device_programs(lib: Any, opened: list[int], v2_directory: int) -> None:
    programs = [
        keep(opened, lib.helper.pyrunc_load_device_program(ANSWER_YES, len(ANSWER_YES))) for _number in range(3)
    ]
    first, second, third = programs
    ids = lib.unsigned_array(64)

    def attached() -> list[int]:
        count = lib.helper.pyrunc_query_device_programs(v2_directory, ids, 64)
        assert count >= 0, os.strerror(-count)
        return [ids[index] for index in range(count)]

    assert attached() == []
    for program in (first, second):
        assert lib.helper.pyrunc_attach_device_program(v2_directory, program, ALLOW_MULTI, -1) == 0
    one, two = attached()
    assert lib.helper.pyrunc_attach_device_program(v2_directory, third, ALLOW_MULTI, first) == 0
    assert one not in attached()
    assert two in attached()
    assert lib.helper.pyrunc_query_device_programs(v2_directory, lib.unsigned_array(1), 1) == -errno.ENOSPC
    found = keep(opened, lib.helper.pyrunc_open_program(two))
    assert lib.helper.pyrunc_detach_device_program(v2_directory, found) == 0
    assert lib.helper.pyrunc_detach_device_program(v2_directory, second) == -errno.ENOENT
    assert lib.helper.pyrunc_detach_device_program(v2_directory, third) == 0
    assert attached() == []


def test_device_programs_that_the_kernel_refuses(lib: Any, v2_directory: int) -> None:
    assert lib.helper.pyrunc_load_device_program(ANSWER_YES[:8], 8) == -errno.EINVAL
    assert lib.helper.pyrunc_load_device_program(b"", 0) == -errno.E2BIG
    assert lib.helper.pyrunc_attach_device_program(v2_directory, v2_directory, ALLOW_MULTI, -1) == -errno.EBADF
    assert lib.helper.pyrunc_detach_device_program(-1, -1) == -errno.EBADF
    assert lib.helper.pyrunc_query_device_programs(-1, lib.unsigned_array(1), 1) == -errno.EBADF
    assert lib.helper.pyrunc_open_program((1 << 32) - 1) == -errno.ENOENT
