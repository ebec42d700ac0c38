"""What made some runtime hang, crash, or accept nonsense; ../cases.toml says which and where that is known from."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from duties.container import CGROUPS, PATH, Box, status_of, wait_until
from duties.hooks import KINDS, add, place, whole_life

if TYPE_CHECKING:
    from duties.container import Island

ARCHITECTURE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}[os.uname().machine]
# What a static busybox needs to print a word, and execve(2) to start it.
JUST_ENOUGH = (
    "execve brk arch_prctl set_tid_address set_robust_list rseq prlimit64 readlink readlinkat getrandom mprotect mmap "
    "munmap getuid geteuid getpid getppid getcwd stat newfstatat rt_sigaction rt_sigprocmask rt_sigreturn ioctl fcntl "
    "uname write writev prctl exit exit_group"
).split()


def endless(box: Box) -> None:
    """A program that runs until it is killed, with the shell's `sleep` found at once."""
    box.args("sleep", "1000")


# -- seccomp -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_ERRNO"])
def test_a_filter_does_not_hit_the_runtime(box: Box, action: str) -> None:
    """The profile allows what the program needs, and not what a runtime does between seccomp(2) and execve(2)."""
    rule = {"names": [name for name in JUST_ENOUGH if name != "getcwd"], "action": "SCMP_ACT_ALLOW"}
    box.linux["seccomp"] = {"defaultAction": action, "architectures": [ARCHITECTURE], "syscalls": [rule]}
    box.args("/bin/echo", "fine")
    assert box.output() == "fine\n"


def test_a_filter_that_denies_write(box: Box) -> None:
    """A runtime that tells its parent by write(2) that all is well cannot any more."""
    rules = [{"names": ["write", "sendmsg", "sendto"], "action": "SCMP_ACT_ERRNO"}]
    box.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": [ARCHITECTURE], "syscalls": rules}
    box.args("/bin/mkdir", "/made")
    box.output()
    assert (box.rootfs / "made").is_dir()


# -- hooks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_that_does_not_read_its_stdin(box: Box, kind: str) -> None:
    """The state is larger than a pipe's buffer: SIGPIPE, or a write that waits for ever."""
    box.config["annotations"] = {f"org.example.{number}": "x" * 1000 for number in range(200)}
    box.config["hooks"] = {kind: [{"path": "/bin/true"}]}
    whole_life(box)
    assert box.status() == "absent"


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer", "startContainer", "poststop"])
def test_a_hook_that_prints_much(box: Box, kind: str) -> None:
    """More than the buffer of a pipe that nobody reads."""
    add(box, kind, "/bin/head -c 300000 /dev/zero")
    whole_life(box)
    assert box.status() == "absent"


@pytest.mark.parametrize("kind", ["createRuntime", "poststop"])
def test_a_hook_that_leaves_a_process(box: Box, kind: str) -> None:
    """It holds the hook's stdout open; nobody waits for it."""
    add(box, kind, f"sleep 15 & echo $! > {place(box, kind, 'pid')}")
    try:
        whole_life(box)
        assert box.status() == "absent"
    finally:
        os.kill(int((box.rootfs / "pid").read_text()), 9)


def test_the_state_for_hooks_has_no_escaped_slashes(box: Box) -> None:
    """Hooks take it apart with sed."""
    add(box, "createRuntime", f'printf %s "$state" > {box.rootfs}/state')
    box.created()
    text = (box.rootfs / "state").read_text()
    assert str(box.path) in text
    assert "\\/" not in text


# -- config.json itself ------------------------------------------------------------------------------------------------

DOCUMENTS = {
    "empty": b"",
    "half": b'{"ociVersion": "1.0.2", "process": {',
    "list": b"[]",
    "null": b"null",
    "two documents": b"{} {}",
    "NaN": b'{"ociVersion": "1.0.2", "x": NaN}',
    "deep lists": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(100),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nonsense_for_a_config(box: Box, name: str) -> None:
    (box.path / "config.json").write_bytes(DOCUMENTS[name])
    box.create(save=False).refused()
    assert box.status() == "absent"


def test_garbage_after_the_config(box: Box) -> None:
    box.save()
    path = box.path / "config.json"
    path.write_text(path.read_text() + "} garbage")
    box.create(save=False).refused()


def test_the_same_key_twice(box: Box) -> None:
    """Which of two roots is it?"""
    box.save()
    path = box.path / "config.json"
    path.write_text(path.read_text().replace('"root":', '"root": {"path": "/nope"}, "root":', 1))
    box.create(save=False).refused()


@pytest.mark.parametrize("kind", ["fifo", "directory", "null"])
def test_a_config_that_is_no_file(box: Box, kind: str) -> None:
    """A FIFO that nobody writes to must not hold the runtime for ever."""
    path = box.path / "config.json"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    result = box.create(save=False, timeout=3)
    assert result.status is not None, "hangs"
    result.refused()


NUL = "a\0b"


@pytest.mark.parametrize("where", ["args", "env", "cwd", "hostname", "mount", "path of root"])
def test_nul_bytes(box: Box, where: str) -> None:
    """C takes what stands before it."""
    if where == "args":
        box.args("echo", NUL)
    elif where == "env":
        box.process["env"].append(f"A={NUL}")
    elif where == "cwd":
        box.process["cwd"] = "/tmp\0/../../nope"
    elif where == "hostname":
        box.config["hostname"] = NUL
    elif where == "mount":
        box.mounts.append({"destination": "/mnt\0x", "type": "tmpfs", "source": "tmpfs"})
    else:
        box.config["root"]["path"] = "rootfs\0nope"
    box.refused_by_start_at_the_latest()


HUGE = {
    "uid": ("user.uid", 1 << 32),
    "uid -1": ("user.uid", (1 << 32) - 1),
    "gid": ("user.gid", (1 << 32) + 5),
    "additional gid": ("user.additionalGids", [1 << 32]),
    "oom score": ("oomScoreAdj", 1 << 32),
    "soft limit above the hard one": ("rlimits", [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]),
    "negative limit": ("rlimits", [{"type": "RLIMIT_CORE", "soft": -5, "hard": -5}]),
}


@pytest.mark.parametrize("name", HUGE)
def test_numbers_out_of_range(box: Box, name: str) -> None:
    """2^32 is not 0."""
    path, value = HUGE[name]
    place: Any = box.process
    *names, last = path.split(".")
    for one in names:
        place = place[one]
    place[last] = value
    box.refused_by_start_at_the_latest()


def test_an_unknown_major_version(box: Box) -> None:
    box.config["ociVersion"] = "2.0.0"
    box.refused()


@pytest.mark.parametrize("field", ["env", "additionalGids", "annotation"])
def test_large_values(box: Box, field: str) -> None:
    """More than the 64 KiB of a netlink attribute: taken whole, or refused."""
    if field == "env":
        box.process["env"].append("LARGE=" + "x" * 100_000)
        assert box.output('echo "${#LARGE}"') == "100000\n"
        return
    if field == "annotation":
        box.config["annotations"] = {"org.example.large": "x" * 100_000}
        box.created()
        assert len(box.state()["annotations"]["org.example.large"]) == 100_000
        return
    box.process["user"]["additionalGids"] = list(range(1, 20_001))
    endless(box)
    pid = box.created()
    box.start().ok()
    wait_until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())
    assert len(status_of(pid)["Groups"].split()) >= 20_000


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("target", ["/other", "other"])
def test_a_mount_of_procfs_on_a_link(box: Box, name: str, target: str) -> None:
    """Masks and labels would be written somewhere else."""
    (box.rootfs / "other").mkdir()
    (box.rootfs / name).rmdir()
    (box.rootfs / name).symlink_to(target)
    box.refused()


def without_dev(box: Box) -> None:
    box.config["mounts"] = [row for row in box.mounts if not row["destination"].startswith("/dev")]


def test_dev_null_is_a_link_to_a_file_of_the_host(box: Box) -> None:
    """Masking a file by it would mount the host's file, writable."""
    canary = box.directory / "canary"
    canary.write_text("canary\n")
    os.chown(canary, 1234, 1234)
    (box.rootfs / "secret").write_text("secret\n")
    without_dev(box)
    (box.rootfs / "dev/null").symlink_to(canary)
    box.linux["maskedPaths"] = ["/secret"]
    box.shell("echo overwritten > /secret; cat /secret")
    result = box.create()
    if result.status == 0:
        box.start()
    assert canary.read_text() == "canary\n"
    assert (canary.stat().st_uid, canary.stat().st_mode & 0o777) == (1234, 0o644)


def test_dev_is_a_link_to_a_directory_of_the_host(box: Box) -> None:
    decoy = box.directory / "decoy"
    decoy.mkdir()
    (decoy / "ptmx").write_text("mine")
    without_dev(box)
    (box.rootfs / "dev").rmdir()
    (box.rootfs / "dev").symlink_to(decoy)
    box.create()
    assert [path.name for path in decoy.iterdir()] == ["ptmx"]
    assert (decoy / "ptmx").read_text() == "mine"


@pytest.mark.parametrize("number", range(3, 13))
def test_a_directory_by_a_descriptor(box: Box, number: int) -> None:
    """cwd /proc/self/fd/N: where the runtime forgot to close a directory of the host, that is where the program is."""
    box.process["cwd"] = f"/proc/self/fd/{number}"
    box.shell("cd ../../../../../../../..; ls -d etc/debian_version usr/sbin 2>/dev/null; echo end")
    result = box.create()
    if result.status == 0 and (started := box.start()).status == 0:
        pytest.fail(f"a descriptor of the runtime is a directory: {started}")
    assert box.status() in ("absent", "stopped", "created")


def test_a_destination_above_the_root(box: Box) -> None:
    """Stays inside."""
    box.mounts.append({"destination": "/../../../mnt", "type": "tmpfs", "source": "tmpfs"})
    pid = box.created()
    assert box.mountinfo(pid, "/mnt")[2] == "tmpfs"
    assert box.island.mounts(box.directory) == []


def test_a_mount_point_is_not_made_in_a_read_only_source(box: Box) -> None:
    source = box.directory / "source"
    source.mkdir()
    row = {"destination": "/mnt", "type": "bind", "source": str(source), "options": ["rbind", "ro"]}
    box.config["mounts"] += [row, {"destination": "/mnt/missing", "type": "tmpfs", "source": "tmpfs"}]
    box.create()
    assert list(source.iterdir()) == []


def test_mounts_of_the_host_come_into_slaves(box: Box) -> None:
    """What is mounted later below a shared source shows in a running container."""
    source = box.directory / "source"
    (source / "later").mkdir(parents=True)
    box.island.run("mount", "--bind", source, source).ok()
    box.island.run("mount", "--make-shared", source).ok()
    box.linux["rootfsPropagation"] = "rslave"
    box.mounts.append({"destination": "/mnt", "type": "bind", "source": str(source), "options": ["rbind", "rslave"]})
    pid = box.running()
    box.island.run("mount", "-t", "tmpfs", "tmpfs", source / "later").ok()
    assert box.mountinfo(pid, "/mnt/later")[2] == "tmpfs"


def test_modes_of_file_systems(box: Box) -> None:
    """Not those of the directories below them."""
    (box.rootfs / "proc").chmod(0o700)
    script = "stat -c %a /dev/shm /proc /sys; ls /proc/self/fd >/dev/null && echo fine"
    assert box.output(script).split() == ["1777", "555", "555", "fine"]


def test_a_host_without_private_mounts_stays_as_it_is(box: Box) -> None:
    """Without a mount namespace of its own a container changes nobody's propagation."""
    holder = subprocess.Popen(
        box.island.command("unshare", "--mount", "--propagation", "shared", "sh", "-c", "echo; exec sleep 1000"),
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.read(1) == b"\n"
        enter = ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--", PATH, "--root", str(box.root)]
        before = propagation(holder.pid)
        box.without_namespace("mount")
        box.config["mounts"] = []
        for name in ("maskedPaths", "readonlyPaths"):
            box.linux[name] = []
        endless(box)
        box.save()
        box.island.run(*enter, "create", "--bundle", box.path, box.id)
        after = propagation(holder.pid)
        assert {point: after.get(point) for point in before} == before
        box.island.run(*enter, "delete", "--force", box.id)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def propagation(pid: int) -> dict[str, bool]:
    """mount point -> is it shared?"""
    lines = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return {fields[4]: any(word.startswith("shared:") for word in fields[6 : fields.index("-")]) for fields in lines}


# -- files of the image that the runtime reads -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fifo", "endless", "directory", "huge line"])
def test_passwd_of_the_image(box: Box, kind: str) -> None:
    """HOME is looked up there: it must not hold the runtime, nor eat its memory."""
    path = box.rootfs / "etc/passwd"
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_text("root:" + "x" * 5_000_000 + "\n")
    box.linux["resources"]["memory"] = {"limit": 64 << 20}
    box.args("/bin/echo", "fine")
    result = box.create(timeout=4)
    assert result.status is not None, "hangs"
    if result.status == 0:
        pid = int(box.state()["pid"])
        started = box.start(timeout=4)
        assert started.status is not None, "hangs"
        box.wait(pid, 4)


# -- kernel interfaces that are not the container's --------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["kernel.core_pattern", "net/../kernel/core_pattern", "net.ipv4/../../kernel/core_pattern", "vm.swappiness"]
)
def test_sysctls_of_the_host(box: Box, key: str) -> None:
    pattern = Path("/proc/sys/kernel/core_pattern")
    before = pattern.read_text()
    box.linux["sysctl"] = {key: before.strip()}  # harmless where it is written
    box.refused()
    assert pattern.read_text() == before


@pytest.mark.parametrize("size", ["../../pids/x", "2MB/../../x", ""])
def test_page_sizes_are_no_paths(box: Box, size: str) -> None:
    box.linux["resources"]["hugepageLimits"] = [{"pageSize": size, "limit": 1}]
    box.refused()


def test_a_memory_limit_that_nothing_fits_in(box: Box) -> None:
    """An error, or a container: no hang, and nothing left."""
    box.linux["resources"]["memory"] = {"limit": 4096}
    result = box.create()
    assert result.status is not None, "hangs"
    if result.status:
        result.refused()
        assert box.leftovers() == []


# -- lives -------------------------------------------------------------------------------------------------------------


def test_programs_that_end_at_once(box: Box) -> None:
    for _ in range(10):
        assert box.output("exit 0") == ""


@pytest.mark.parametrize("name", ["BOGUS", "SIG", "99999", "-1", "TERM x", "\uff11\uff15"])
def test_signals_that_are_none(box: Box, name: str) -> None:
    pid = box.running()
    result = box.kill(name)
    assert result.status not in (0, None), result
    assert status_of(pid)["State"][0] != "Z"


def test_creates_at_once(box: Box) -> None:
    """One of four gets the id; the container is whole, and goes whole.  A race: not every round shows a fault."""
    endless(box)
    box.save()
    command = box.island.command(PATH, "--root", box.root, "create", "--bundle", box.path, box.id)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for _ in range(6):
        racers = [subprocess.Popen(command, **quiet) for _ in range(4)]
        assert sorted(racer.wait(20) == 0 for racer in racers) == [False, False, False, True]
        assert box.status() == "created"
        box.start().ok()
        box("delete", "--force", box.id).ok()
        assert box.leftovers() == []


def test_a_paused_container_can_be_deleted(box: Box) -> None:
    """--force thaws it: a frozen process does not die."""
    pid = box.running()
    box("pause", box.id).ok()
    box.delete("--force").ok()
    box.wait(pid)
    assert box.leftovers() == []


def test_exec_stays_in_the_containers_cgroup(box: Box) -> None:
    """`../ID-2` begins with the container's own path, as a string."""
    box.running()
    sibling = CGROUPS / "pids" / f"{box.id}-2"
    sibling.mkdir()
    try:
        result = box("exec", "--cgroup", f"../{box.id}-2", box.id, "true")
        assert result.status != 0, result
    finally:
        sibling.rmdir()


def test_home_of_a_process_without_environment(box: Box) -> None:
    """exec with a process.json that has no env."""
    box.running()
    document = box.directory / "process.json"
    document.write_text(json.dumps({"args": ["/bin/env"], "cwd": "/", "user": {"uid": 0, "gid": 0}}))
    assert "HOME=/root\n" in box("exec", "--process", document, box.id).ok().out


def test_the_environment_is_that_of_the_config(box: Box) -> None:
    """Nothing of the caller's or of the runtime's own, whatever its language sets for itself."""
    box.process["env"] = ["PATH=/bin", "ONLY=this"]
    box.args("env")
    text = box.output(env={"PATH": os.environ["PATH"], "LEAK": "x", "LANG": "C", "PYTHONPATH": "/nope"})
    assert {line.partition("=")[0] for line in text.splitlines()} <= {"PATH", "ONLY", "HOME"}


def test_signals_are_not_blocked_or_ignored(box: Box) -> None:
    """Not those that a runtime ignores for itself."""
    endless(box)
    pid = box.created()
    box.start().ok()
    wait_until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes())
    found = status_of(pid)
    ours = status_of(box.island.holder.pid)
    assert int(found["SigBlk"], 16) == 0
    assert int(found["SigIgn"], 16) & ~int(ours["SigIgn"], 16) == 0


def test_the_runtime_answers_without_a_terminal_or_home(island: Island) -> None:
    """Started by a service manager: no HOME, no TERM, stdin closed."""
    assert island.run("env", "-i", PATH, "--version").ok().out
