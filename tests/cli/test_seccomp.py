"""linux.seccomp: what a filter does to the process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

EPERM, ENOSYS, EACCES = 1, 38, 13


def profile(default: str, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": list(rules), **more}


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": action, **more}


def test_mode(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "swapon"))
    assert "Seccomp:\t2" in runtime.script(bundle, "grep Seccomp: /proc/self/status")


def test_no_profile(runtime: Runtime, bundle: Bundle) -> None:
    own = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Seccomp:")]
    assert runtime.script(bundle, "grep Seccomp: /proc/self/status") == f"{own[0]}\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [(None, "Operation not permitted"), (EACCES, "Permission denied"), (ENOSYS, "Function not implemented")],
)
def test_errno(runtime: Runtime, bundle: Bundle, number: int | None, words: str) -> None:
    more = {} if number is None else {"errnoRet": number}
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat", **more))
    assert words in runtime.script(bundle, "mkdir /x 2>&1; true")


def test_no_new_privileges_off(runtime: Runtime, bundle: Bundle) -> None:
    """Without it the filter is loaded before the capabilities go."""
    bundle.process["noNewPrivileges"] = False
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    assert "not permitted" in runtime.script(bundle, "mkdir /tmp/x 2>&1; true")


def test_kill(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_KILL_PROCESS", "mkdir", "mkdirat"))
    bundle.args("mkdir", "/x")
    result = runtime.run(bundle)
    assert result.status == 128 + 31  # SIGSYS
    assert not (bundle.rootfs / "x").exists()


def test_arguments(runtime: Runtime, bundle: Bundle) -> None:
    """kill(pid, 0) is allowed, kill(pid, SIGUSR1) is not."""
    arguments = [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "kill", args=arguments))
    out = runtime.script(bundle, "sleep 9 & kill -0 $! && echo 0; kill -USR1 $! 2>/dev/null || echo USR1; kill $!")
    assert out == "0\nUSR1\n"


def test_masked_argument(runtime: Runtime, bundle: Bundle) -> None:
    """unshare(2) of a user namespace only (CLONE_NEWUSER)."""
    flag = 0x10000000
    arguments = [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}]
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "unshare", args=arguments))
    assert "Seccomp:\t2" in runtime.script(bundle, "grep Seccomp: /proc/self/status")


def test_allow_list(runtime: Runtime, bundle: Bundle) -> None:
    names = (
        "access arch_prctl brk capget capset chdir close dup dup2 execve exit exit_group faccessat faccessat2 "
        "fcntl fchdir fstat fstatfs futex getcwd getdents64 getegid geteuid getgid getpgrp getpid getppid "
        "getrandom gettid getuid ioctl lseek mmap mprotect mremap munmap newfstatat open openat openat2 poll "
        "prctl pread64 prlimit64 read readlink rseq rt_sigaction rt_sigprocmask rt_sigreturn sendmsg recvmsg "
        "set_robust_list set_tid_address setgid setgroups setuid sigaltstack stat statx tgkill tkill uname "
        "wait4 write writev nanosleep clock_nanosleep clone clone3 vfork fork pipe pipe2 sched_yield madvise "
        "epoll_ctl epoll_pwait epoll_create1 eventfd2 seccomp getsockopt umask fchmod fchown "
    ).split()
    bundle.linux["seccomp"] = profile("SCMP_ACT_ERRNO", rule("SCMP_ACT_ALLOW", *names), defaultErrnoRet=EPERM)
    assert "not permitted" in runtime.script(bundle, "echo fine; mkdir /x 2>&1; true")


def test_unknown_system_calls_are_ignored(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "no_such_call", "mkdir", "mkdirat"))
    assert "not permitted" in runtime.script(bundle, "mkdir /x 2>&1; true")


def test_several_architectures(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    bundle.linux["seccomp"]["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert "not permitted" in runtime.script(bundle, "mkdir /x 2>&1; true")


def test_log_action(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_LOG", "mkdir", "mkdirat"))
    assert runtime.script(bundle, "mkdir /x && echo made") == "made\n"


@pytest.mark.pyrunc_only("runc 1.1.5 does not support flags")
def test_flags(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = profile("SCMP_ACT_ALLOW", rule("SCMP_ACT_ERRNO", "mkdir", "mkdirat"))
    bundle.linux["seccomp"]["flags"] = ["SECCOMP_FILTER_FLAG_LOG"]
    assert "not permitted" in runtime.script(bundle, "mkdir /x 2>&1; true")
