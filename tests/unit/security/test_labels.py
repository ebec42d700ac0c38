"""LSM labels and the session keyring, in the simulator."""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENOSYS, EXDEV
from typing import TYPE_CHECKING, Any

import pytest

from ocispec.config import Process, User
from pyrunc.errors import ConfigError
from pyrunc.kernel.constants import KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SETPERM, PROC_SUPER_MAGIC
from pyrunc.kernel.host import Host
from pyrunc.process.procfs import emit_host_procfs
from pyrunc.program.builder import Program
from pyrunc.program.simulator import FIRST_DESCRIPTOR, Memory, simulate
from pyrunc.security.keyring import emit_session_keyring
from pyrunc.security.lsm import check_labels, emit_key_label, emit_label

if TYPE_CHECKING:
    from collections.abc import Callable


def process(apparmor: str = "", selinux: str = "") -> Process:
    user = User(uid=0, gid=0)
    return Process(args=("x",), cwd="/", user=user, apparmor_profile=apparmor, selinux_label=selinux)


def host(*modules: str) -> Host:
    return Host(
        euid=0, egid=0, machine="x86_64", in_user_namespace=False, cgroups=(),
        has_apparmor="apparmor" in modules, has_selinux="selinux" in modules,
    )  # fmt: skip


def procfs(_descriptor: int, status: Memory) -> int:
    status.write(PROC_SUPER_MAGIC.to_bytes(8, "little"))
    return 0


def inode(number: int) -> Callable[..., int]:
    def statx(_fd: int, _path: str, _flags: int, _mask: int, status: Memory) -> int:
        status.write(number.to_bytes(8, "little"), 0x20)
        return 0

    return statx


PROC: dict[str, Any] = {"fstatfs": procfs, "statx": inode(1)}


def test_no_label_no_calls() -> None:
    p = Program()
    emit_label(p, process(), host(), emit_host_procfs)
    emit_key_label(p, process(), emit_host_procfs)
    assert p.operations == []


def test_a_label_that_nothing_enforces_is_an_error_in_runcs_words() -> None:
    with pytest.raises(ConfigError) as error:
        check_labels(process(apparmor="docker-default"), host("selinux"))
    assert str(error.value) == "apparmor: config provided but apparmor not supported"
    with pytest.raises(ConfigError) as error:
        emit_label(Program(), process(selinux="a:b:c:d"), host("apparmor"), emit_host_procfs)
    assert str(error.value) == "selinux label is specified in config, but selinux is disabled or not supported"


def test_the_apparmor_profile_is_for_the_next_execve() -> None:
    p = Program()
    emit_label(p, process(apparmor="docker-default"), host("apparmor"), emit_host_procfs)
    run = simulate(p, PROC)
    assert [call[:2] for call in run.calls("openat2")] == [(FIRST_DESCRIPTOR, "self/attr/apparmor/exec")]
    assert run.calls("write") == [(FIRST_DESCRIPTOR + 1, "exec docker-default", 19)]
    assert len(run.calls("close")) == 2


def test_an_older_kernel_has_the_shared_file() -> None:
    p = Program()
    emit_label(p, process(apparmor="x"), host("apparmor"), emit_host_procfs)
    run = simulate(p, PROC | {"openat2": [-ENOENT, 7]})
    assert [call[1] for call in run.calls("openat2")] == ["self/attr/apparmor/exec", "self/attr/exec"]
    assert run.calls("write") == [(7, "exec x", 6)]


def test_the_selinux_context_is_written_as_it_is() -> None:
    p = Program()
    emit_key_label(p, process(selinux="u:r:t:s0"), emit_host_procfs)
    emit_label(p, process(selinux="u:r:t:s0"), host("selinux"), emit_host_procfs)
    run = simulate(p, PROC)
    assert [call[1] for call in run.calls("openat2")] == ["self/attr/keycreate", "self/attr/exec"]
    assert [call[1] for call in run.calls("write")] == ["u:r:t:s0"] * 2


@pytest.mark.parametrize("kernel", [{}, {"fstatfs": procfs, "statx": inode(4711)}, PROC | {"openat2": -EXDEV}])
def test_a_label_is_not_written_to_what_only_looks_like_procfs(kernel: dict[str, Any]) -> None:
    """CVE-2019-16884, CVE-2025-52881: another file there swallows the label."""
    p = Program()
    emit_label(p, process(apparmor="x"), host("apparmor"), emit_host_procfs)
    run = simulate(p, kernel)
    assert run.ended == "failed"
    assert run.calls("write") == []


def test_podman_finds_the_path_in_backquotes() -> None:
    p = Program()
    emit_label(p, process(apparmor="x"), host("apparmor"), emit_host_procfs)
    run = simulate(p, PROC | {"write": -EINVAL})
    assert run.failure is not None
    text = p.operations[run.failure[0]].label.failure(EINVAL)
    assert text == "write `/proc/self/attr/apparmor/exec`: invalid argument"


def test_the_session_keyring() -> None:
    p = Program()
    emit_session_keyring(p, "box")
    run = simulate(p, {"keyctl": [4711, 0]})
    assert run.calls("keyctl") == [
        (KEYCTL_JOIN_SESSION_KEYRING, "_ses.box"),
        (KEYCTL_SETPERM, 4711, 0x3F1B0000),
    ]


def test_a_keyring_that_we_are_in_already_keeps_its_permissions() -> None:
    p = Program()
    emit_session_keyring(p, "box")
    assert len(simulate(p, {"keyctl": 0}).calls("keyctl")) == 1


def test_a_kernel_without_keyrings() -> None:
    p = Program()
    emit_session_keyring(p, "box")
    run = simulate(p, {"keyctl": -ENOSYS})
    assert (run.ended, len(run.calls("keyctl"))) == ("end", 1)
    assert simulate(p, {"keyctl": -EINVAL}).ended == "failed"
