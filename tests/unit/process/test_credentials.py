"""The order of credentials, and the ways that only a pretended kernel takes."""

from __future__ import annotations

from errno import EACCES, EBADF, EINVAL, ENOENT, EPERM, EROFS

import pytest

from ocispec.config import Capabilities, Process, User
from pyrunc.kernel.constants import PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG
from pyrunc.kernel.host import Host
from pyrunc.process.credentials import credential_warnings, emit_credentials
from pyrunc.program.builder import Program
from pyrunc.program.simulator import Memory, Run, simulate

HOST = Host(euid=0, egid=0, machine="x86_64", in_user_namespace=False, cgroups=(), last_capability=3)
ALL_FOUR = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER")


def process(uid: int = 1000, gid: int = 1000, groups: tuple[int, ...] = (), **fields: object) -> Process:
    user = User(uid=uid, gid=gid, additional_gids=groups)
    sets = Capabilities(bounding=ALL_FOUR, permitted=ALL_FOUR)
    return Process(**{"args": ("x",), "cwd": "/work", "user": user, "capabilities": sets} | fields)


def inside(where: Memory, _size: int) -> int:
    where.write(b"/work\0")
    return 6


def belongs_to(uid: int, mode: int = 0o010600, device: tuple[int, int] = (0, 0)) -> object:
    def statx(_fd: int, _path: str, _flags: int, _mask: int, status: Memory) -> int:
        status.write(uid.to_bytes(4, "little"), 0x14)
        status.write(mode.to_bytes(2, "little"), 0x1C)
        status.write(device[0].to_bytes(4, "little") + device[1].to_bytes(4, "little"), 0x80)
        return 0

    return statx


def run(wanted: Process, kernel: dict[str, object] | None = None, *, with_filter: bool = False) -> tuple[Program, Run]:
    p = Program()
    emit_credentials(p, wanted, HOST, (lambda p: p.call("seccomp", 1, 0, 0)) if with_filter else None)
    return p, simulate(p, {"getcwd": inside, "statx": belongs_to(0), **(kernel or {})})


def failure(p: Program, ran: Run) -> str:
    assert ran.failure is not None
    return p.operations[ran.failure[0]].label.failure(ran.failure[1])


def test_the_order() -> None:
    _, ran = run(process(no_new_privileges=True))
    assert [name for name in ran.names() if name not in ("statx", "close")] == [
        "openat2", "fchdir", "umask", "prctl", "fchown", "fchown", "fchown", "prctl", "setgroups", "setresgid",
        "setresuid", "prctl", "prctl", "prctl", "getcwd", "capset", "prctl",
    ]  # fmt: skip
    options = [call[0] for call in ran.calls("prctl")]
    keep = (PR_SET_KEEPCAPS, PR_SET_KEEPCAPS, PR_SET_PDEATHSIG, PR_SET_DUMPABLE)
    assert tuple(options[:5]) == (PR_SET_NO_NEW_PRIVS, *keep)


def test_a_filter_comes_before_the_last_capset_and_nothing_else_after_it() -> None:
    _, ran = run(process(), with_filter=True)
    names = ran.names()
    assert names[names.index("seccomp") :] == ["seccomp", "capset"]
    before, after = (call[1] for call in ran.calls("capset"))
    assert before != after
    admin = 1 << 21
    assert int.from_bytes(before[:4], "little") & admin
    assert not int.from_bytes(after[4:8], "little") & admin


def test_pdeathsig_and_dumpable_are_set_after_the_ids() -> None:
    _, ran = run(process())
    names = [step.name if step.name != "prctl" else step.arguments[0] for step in ran.trace]
    assert names.index("setresuid") < names.index(PR_SET_PDEATHSIG) < names.index("getcwd")
    assert names.index("setresuid") < names.index(PR_SET_DUMPABLE)


@pytest.mark.parametrize("kernel", [{"openat2": [-EACCES, 50]}, {"fchdir": [-EACCES, 0]}, {"openat2": [-EPERM, 50]}])
def test_a_cwd_that_root_may_not_enter_is_tried_as_the_user(kernel: dict[str, object]) -> None:
    _, ran = run(process(), kernel)
    assert ran.ended == "end"
    names = ran.names()
    assert names.index("setresuid") < len(names) - 1 - names[::-1].index("fchdir")


def test_a_cwd_that_the_user_may_not_enter_either() -> None:
    p, ran = run(process(cwd='/a"b'), {"openat2": -EACCES})
    assert failure(p, ran) == 'chdir to cwd ("/a\\"b") set in config.json failed: permission denied'
    assert "setresuid" in ran.names()


def test_a_cwd_that_is_not_there_fails_before_the_ids_change() -> None:
    p, ran = run(process(), {"openat2": -ENOENT})
    assert failure(p, ran) == 'chdir to cwd ("/work") set in config.json failed: no such file or directory'
    assert "setresuid" not in ran.names()


def outside(where: Memory, _size: int) -> int:
    where.write(b"(unreachable)/host\0")
    return 19


@pytest.mark.parametrize("getcwd", [outside, -ENOENT])
def test_a_cwd_outside_of_the_root_is_a_breakout(getcwd: object) -> None:
    """CVE-2024-21626."""
    p, ran = run(process(), {"getcwd": getcwd})
    assert "possible container breakout" in failure(p, ran)
    assert "capset" not in ran.names()


def test_stdio_is_given_to_the_user_with_its_group_as_it_is() -> None:
    _, ran = run(process(uid=7))
    assert ran.calls("fchown") == [(fd, 7, 0xFFFFFFFF) for fd in (0, 1, 2)]


@pytest.mark.parametrize(
    ("statx", "given"),
    [
        (belongs_to(1000), 0),  # the user's already
        (belongs_to(0, 0o020666, (1, 3)), 0),  # /dev/null
        (belongs_to(0, 0o020666, (136, 3)), 3),  # a terminal
        (belongs_to(0, 0o060666, (1, 3)), 3),  # a block device with /dev/null's number
        (-EBADF, 0),
    ],
)
def test_which_stdio_is_given(statx: object, given: int) -> None:
    _, ran = run(process(), {"statx": statx})
    assert len(ran.calls("fchown")) == given
    assert ran.ended == "end"


@pytest.mark.parametrize("errno", [EINVAL, EPERM, EROFS])
def test_stdio_that_cannot_be_given_stays(errno: int) -> None:
    assert run(process(), {"fchown": -errno})[1].ended == "end"
    assert run(process(), {"fchown": -EBADF})[1].ended == "failed"


def test_groups_are_32_bit_numbers() -> None:
    _, ran = run(process(groups=(5, 70000)))
    assert ran.calls("setgroups") == [(2, (5).to_bytes(4, "little") + (70000).to_bytes(4, "little"))]


def test_refused_groups() -> None:
    p, ran = run(process(), {"setgroups": -EPERM})
    assert failure(p, ran) == "process.user 1000:1000: set the groups: EPERM (operation not permitted)"


def test_warnings() -> None:
    sets = Capabilities(ambient=("CAP_CHOWN",), bounding=("CAP_X",))
    assert len(credential_warnings(process(capabilities=sets), HOST)) == 2
