"""Where the time of `create` and `state` goes: perf samples by what entered the kernel, system calls by strace.

There need not be a PMU: cpu-clock is a timer.  Sampling costs time itself, so the milliseconds are larger than those
of the other tables; the shares are what to read.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.contenders import Contender
    from bench.inside import Bench

PERIOD = 50_000  # ns between samples
RUNS = {"create": 30, "state": 60}
PROGRAM, FAULTS, OTHER = "program", "page faults", "other"
GROUPS = {
    "execve": "execve execveat",
    "exit": "exit exit_group",
    "namespaces": "clone clone3 fork vfork unshare setns sethostname socket ioctl",
    "mounts": "mount umount umount2 fsopen fsconfig fsmount move_mount open_tree mount_setattr pivot_root",
    "files": "open openat openat2 read write pread64 pwrite64 readv writev close mkdir mkdirat rmdir mknod mknodat "
    "unlink unlinkat rename renameat renameat2 stat fstat fstatat lstat statx statfs fstatfs access faccessat "
    "faccessat2 symlink symlinkat readlink readlinkat getdents64 ftruncate fchmod fchmodat fchown chmod chown flock "
    "fcntl lseek sendfile",
    "memory": "mmap mmap_pgoff munmap mprotect mremap brk madvise memfd_create",
    "credentials": "prctl capset setresuid setresgid setgroups setuid setgid keyctl add_key seccomp",
    "BPF": "bpf",
    "waiting, threads": "futex nanosleep clock_nanosleep wait4 waitid poll ppoll epoll_wait epoll_pwait select "
    "sched_yield tgkill",
}
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names.split()}
# how the kernel names the functions that system calls enter: some are inlined into the next, which then shows
ENTRY = re.compile(r"\s(?:__(?:x64|arm64|do|se)_sys_|ksys_|vm_)(?:new)?(\w+)")
FAULT = re.compile(r"\s(?:asm_exc_page_fault|do_mem_abort)\b")
GROUP_ORDER = (PROGRAM, FAULTS, *GROUPS, OTHER)


def attribute(text: str) -> dict[str, int]:
    """Group -> samples, of what `perf script -F comm,ip,sym` prints: a stack a paragraph, the innermost first.

    Samples of the loop, before it becomes the runtime, count as nobody's.
    """
    found: Counter[str] = Counter()
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").splitlines()
        if lines and lines[0].strip() not in ("", "rounds", "perf"):
            found[_group(lines[1:])] += 1
    return {group: found[group] for group in GROUP_ORDER if found[group]}


def _group(frames: list[str]) -> str:
    """By the outermost entry into the kernel that has a name; none is the program's own code."""
    for frame in reversed(frames):
        if FAULT.search(frame):
            return FAULTS
        entered = ENTRY.search(frame)
        if entered:
            return GROUP_OF.get(entered[1], OTHER)
    return OTHER if frames else PROGRAM


def count_calls(text: str) -> int:
    """The total of `strace -f -c`: "100.00    0.001   1   264    13 total", the column of errors may be empty."""
    total = next(line for line in text.splitlines() if line.endswith(" total"))
    return int(total.split()[3])


def profile(bench: Bench) -> dict[str, Any]:
    """Contender -> step -> {"ms": {group: ms a command}, "system_calls": number}; empty where there is no perf.

    Both steps include what init does before it waits.
    """
    if not shutil.which("perf") or not shutil.which("strace"):
        return {}
    return {
        contender.name: {
            "create": {"ms": sample_create(bench, contender), "system_calls": trace_create(bench, contender)},
            "state": around_state(bench, contender),
        }
        for contender in bench.contenders
    }


def sample(bench: Bench, step: str, command: list[str]) -> dict[str, float]:
    """Group -> ms of one command, the mean of RUNS."""
    data = str(bench.work / "perf.data")
    lines = "contender\tperf\nstep\t" + "\t".join([step, *command]) + "\n"
    (bench.work / "script").write_text(lines)
    loop = [str(bench.work / "rounds"), str(bench.work / "script"), str(RUNS[step]), "0", str(bench.errors)]
    record = ["perf", "record", "-q", "-e", "cpu-clock", "-c", str(PERIOD), "-g", "--kernel-callchains", "-o", data]
    subprocess.run([*record, "--", *loop], stdout=subprocess.DEVNULL, check=True)
    shown = ["perf", "script", "-i", data, "-F", "comm,ip,sym"]
    text = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    return {group: round(count * PERIOD / 1e6 / RUNS[step], 3) for group, count in attribute(text).items()}


def sample_create(bench: Bench, contender: Contender) -> dict[str, float]:
    command = contender.command("create", str(bench.top), "plain", f"{bench.prefix}-#")
    found = sample(bench, "create", command)
    bench.crowds[contender.name] += [f"{bench.prefix}-perf-{1000 + turn}" for turn in range(RUNS["create"])]
    bench.disperse()
    return found


def around_state(bench: Bench, contender: Contender) -> dict[str, Any]:
    name = f"{bench.prefix}-{contender.name}-traced"
    bench.create(contender, name)
    command = contender.command("state", str(bench.top), "plain", name)
    output = bench.work / "strace"
    subprocess.run(["strace", "-f", "-c", "-o", str(output), *command], stdout=subprocess.DEVNULL, check=True)
    found = {"ms": sample(bench, "state", command), "system_calls": count_calls(output.read_text())}
    bench.disperse()
    return found


def trace_create(bench: Bench, contender: Contender) -> int:
    """strace -f stays as long as init does: so init is killed when the runtime is gone."""
    name, output = f"{bench.prefix}-{contender.name}-traced", bench.work / "strace"
    command = contender.command("create", str(bench.top), "plain", name)
    with open(bench.errors, "a") as errors:
        traced = ["strace", "-f", "-c", "-o", str(output), *command]
        tracer = subprocess.Popen(traced, stdout=subprocess.DEVNULL, stderr=errors)
    bench.crowds[contender.name].append(name)
    while children(tracer.pid) or not children(os.getpid(), tracer.pid):
        time.sleep(0.02)
        if tracer.poll() is not None:
            raise RuntimeError(f"strace {' '.join(command)}: exit code {tracer.returncode}")
    init = children(os.getpid(), tracer.pid)
    for pid in init:
        os.kill(pid, signal.SIGKILL)
    tracer.wait()
    for pid in init:
        os.waitpid(pid, 0)
    bench.disperse()
    return count_calls(output.read_text())


def children(pid: int, but: int = 0) -> list[int]:
    """The processes that a process has to wait for, of all its threads."""
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/children") as opened:
            found += [int(word) for word in opened.read().split()]
    return [child for child in found if child != but]
