"""process/credentials.py, executable.py and limits.py on the real kernel: the stage becomes busybox in a small root."""

from __future__ import annotations

import os
import resource
import shutil
from _struct import Struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocispec.config import Capabilities, Config, IOPriority, Process, Rlimit, Root, Scheduler, User
from ocispec.linux import Linux, MemoryPolicy, Personality
from ocispec.record import replace
from pyrunc.kernel.constants import CLONE_NEWNS, CLONE_NEWUSER, MS_BIND, MS_PRIVATE, MS_REC
from pyrunc.kernel.host import Host
from pyrunc.process.credentials import emit_credentials, emit_make_directory
from pyrunc.process.executable import build_environment, emit_execve, emit_lookup
from pyrunc.process.limits import emit_limits, emit_oom_score_adj, emit_scheduling
from pyrunc.program.builder import Program
from pyrunc.program.operations import Pointer
from pyrunc.security.capabilities import names_of
from stage_process import StageProcess, encoded

if TYPE_CHECKING:
    from collections.abc import Callable

LAST_CAPABILITY = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
HOST = Host(
    euid=0, egid=0, machine=os.uname().machine, in_user_namespace=False, cgroups=(), last_capability=LAST_CAPABILITY
)
ROOTLESS = replace(HOST, euid=1000, egid=1000)
READY = 5
PLAIN = Config(oci_version="1.2.0", root=Root(path="rootfs"))
FEW = ("CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE")
SECCOMP_RET_ALLOW = 0x7FFF0000


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "rootfs"
    for name in ("bin", "proc", "dev", "tmp", "etc", "private", "other"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "id", "cat", "grep", "pwd", "env", "stat", "ls"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "private").chmod(0o700)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    tmp_path.chmod(0o755)
    return root


def process(*args: str, uid: int = 0, gid: int = 0, groups: tuple[int, ...] = (), **fields: object) -> Process:
    user = User(uid=uid, gid=gid, additional_gids=groups, umask=fields.pop("umask", None))
    wanted = {"cwd": "/", "env": ("PATH=/sbin:/bin",)} | fields
    return Process(args=args, user=user, **wanted)


def script(text: str, **fields: object) -> Process:
    return process("sh", "-c", text, **fields)


class Ran:
    """What became of a process: what it printed, its status, or the label of the operation that failed."""

    def __init__(self, output: str, status: int, failure: str, owner: int) -> None:
        self.output = output
        self.status = status
        self.failure = failure
        self.owner = owner  # of stdout, afterwards


def run(
    stage: Path,
    rootfs: Path,
    wanted: Process,
    *,
    outside: Callable[[Program], None] | None = None,
    before: Callable[[Program], None] | None = None,
    host: Host = HOST,
    config: Config = PLAIN,
    load_filter: Callable[[Program], None] | None = None,
    make_cwd: bool = False,
    home: bytes = b"",
) -> Ran:
    p = Program()
    emit_oom_score_adj(p, wanted)
    if outside is not None:
        outside(p)
    p.call("unshare", CLONE_NEWNS)
    p.call("mount", "", "/", "", MS_REC | MS_PRIVATE, "")
    p.call("mount", "/proc", f"{rootfs}/proc", "", MS_BIND | MS_REC, "")
    if make_cwd:
        root = p.result("openat", -100, str(rootfs), os.O_PATH)
        emit_make_directory(p, root, wanted)
    p.call("chdir", str(rootfs))
    p.call("chroot", ".")
    if before is not None:
        before(p)
    emit_limits(p, wanted)
    emit_scheduling(p, config, wanted)
    emit_credentials(p, wanted, host, load_filter)
    envp, slot = build_environment(p, wanted)
    found = emit_lookup(p, wanted)
    p.sync(READY, "ready", 0, slot)
    emit_execve(p, wanted, found, envp)
    return _drive(stage, p, home)


def _drive(stage: Path, p: Program, home: bytes) -> Ran:
    reading, writing = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    failure = ""
    with StageProcess([stage], {0: null, 1: writing, 2: writing}) as running, open(reading) as output:
        os.close(writing)
        os.close(null)
        running.send(encoded(p))
        while (message := running.message()) is not None:
            index, value = message
            if value < 0:
                failure = p.operation(index).label.failure(-value)
            else:
                running.answer(home)
        text = output.read()
        return Ran(text, running.wait(), failure, os.fstat(reading).st_uid)


def capabilities(status: str) -> dict[str, tuple[str, ...]]:
    pairs = (line.split(":") for line in status.splitlines() if line.startswith("Cap"))
    return {name: names_of(int(mask, 16)) for name, mask in pairs}


def test_ids_groups_and_umask(stage: Path, rootfs: Path) -> None:
    wanted = script("id -u; id -g; id -G; umask", uid=1000, gid=1001, groups=(5, 70000), umask=0o27)
    ran = run(stage, rootfs, wanted)
    assert (ran.failure, ran.output) == ("", "1000\n1001\n1001 5 70000\n0027\n")
    assert run(stage, rootfs, script("id -G; umask")).output == "0\n0022\n"


def test_all_ids_are_changed(stage: Path, rootfs: Path) -> None:
    ran = run(stage, rootfs, process("grep", "-E", "^(Uid|Gid):", "/proc/self/status", uid=1000, gid=1001))
    assert ran.output.split() == ["Uid:", *["1000"] * 4, "Gid:", *["1001"] * 4]


def test_without_capabilities_there_are_none(stage: Path, rootfs: Path) -> None:
    for uid in (0, 1000):
        ran = run(stage, rootfs, process("cat", "/proc/self/status", uid=uid))
        assert set(capabilities(ran.output).values()) == {()}, ran.failure


def test_capabilities_of_a_user(stage: Path, rootfs: Path) -> None:
    sets = Capabilities(bounding=FEW, permitted=FEW, effective=FEW[:2], inheritable=FEW[:2], ambient=FEW[:1])
    ran = run(stage, rootfs, process("cat", "/proc/self/status", uid=1000, gid=1000, capabilities=sets))
    assert capabilities(ran.output) == {
        "CapInh": FEW[:2], "CapPrm": FEW[:1], "CapEff": FEW[:1], "CapBnd": FEW, "CapAmb": FEW[:1],
    }  # fmt: skip


def test_capabilities_of_root(stage: Path, rootfs: Path) -> None:
    sets = Capabilities(bounding=FEW, permitted=FEW, effective=FEW)
    ran = run(stage, rootfs, process("cat", "/proc/self/status", capabilities=sets))
    assert capabilities(ran.output) == {"CapInh": (), "CapPrm": FEW, "CapEff": FEW, "CapBnd": FEW, "CapAmb": ()}


def test_capabilities_that_the_runtime_lacks_are_an_error(stage: Path, rootfs: Path) -> None:
    sets = Capabilities(bounding=FEW, permitted=("CAP_SYS_BOOT",), effective=FEW)

    def drop(p: Program) -> None:
        header = p.constant(Struct("<Ii").pack(0x20080522, 0))
        low = 0xFFFFFFFF & ~(1 << 22)
        p.call("capset", header, p.constant(Struct("<6I").pack(low & ~(1 << 24), low & ~(1 << 24), 0, 0, 0, 0)))

    ran = run(stage, rootfs, process("true", capabilities=sets), before=drop)
    assert ran.failure == "process.capabilities: set the capabilities: EPERM (operation not permitted)"


def test_no_new_privileges(stage: Path, rootfs: Path) -> None:
    for value in (True, False):
        ran = run(stage, rootfs, process("grep", "NoNewPrivs", "/proc/self/status", no_new_privileges=value))
        assert ran.output.split() == ["NoNewPrivs:", str(int(value))]


def allow_everything(p: Program) -> None:
    instruction = p.constant(Struct("<HBBI").pack(6, 0, 0, SECCOMP_RET_ALLOW))
    p.call("seccomp", 1, 0, p.structure(b"\1" + bytes(15), [(8, instruction)]), doing="load the filter")


@pytest.mark.parametrize("uid", [0, 1000])
def test_a_filter_is_loaded_without_no_new_privileges(stage: Path, rootfs: Path, uid: int) -> None:
    """It takes CAP_SYS_ADMIN, which the container's program does not get."""
    ran = run(stage, rootfs, process("cat", "/proc/self/status", uid=uid), load_filter=allow_everything)
    assert "Seccomp:\t2" in ran.output, ran.failure
    assert "NoNewPrivs:\t0" in ran.output
    assert set(capabilities(ran.output).values()) == {()}


def test_stdio_belongs_to_the_user_but_dev_null_does_not(stage: Path, rootfs: Path) -> None:
    before = os.stat("/dev/null")
    ran = run(stage, rootfs, script("cat /proc/self/fd/0; echo seen > /proc/self/fd/1", uid=1000, gid=1000))
    assert (ran.output, ran.owner, ran.failure) == ("seen\n", 1000, "")
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_a_closed_stdin_is_no_error(stage: Path, rootfs: Path) -> None:
    ran = run(stage, rootfs, script("echo fine", uid=1000), before=lambda p: p.call("close", 0))
    assert ran.output == "fine\n"


# -- cwd ---------------------------------------------------------------------------------------------------------------


def test_cwd(stage: Path, rootfs: Path) -> None:
    assert run(stage, rootfs, process("pwd", cwd="/tmp")).output == "/tmp\n"


def test_root_enters_a_directory_that_the_user_may_not(stage: Path, rootfs: Path) -> None:
    ran = run(stage, rootfs, process("/bin/pwd", cwd="/private", uid=1000))
    assert (ran.failure, ran.output) == ("", "/private\n")


def test_cwd_is_made_in_the_rootfs(stage: Path, rootfs: Path) -> None:
    assert run(stage, rootfs, process("pwd", cwd="/a/b/c"), make_cwd=True).output == "/a/b/c\n"
    assert (rootfs / "a/b/c").stat().st_mode & 0o7777 == 0o755


def test_cwd_is_not_made_outside_of_the_rootfs(stage: Path, rootfs: Path, tmp_path: Path) -> None:
    """podman's CVE-2026-55686: the image makes a link to the host of a directory in cwd."""
    (tmp_path / "outside").mkdir()
    (rootfs / "link").symlink_to(tmp_path / "outside")
    (rootfs / "up").symlink_to("../../../../../..")
    run(stage, rootfs, process("pwd", cwd="/link/made"), make_cwd=True)
    run(stage, rootfs, process("pwd", cwd=f"/up/{tmp_path}/outside/made"), make_cwd=True)
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize(
    ("cwd", "words"),
    [("/nope", "no such file or directory"), ("/etc/passwd", "not a directory"), ("/etc/passwd/x", "not a directory")],
)
def test_cwd_that_cannot_be_entered(stage: Path, rootfs: Path, cwd: str, words: str) -> None:
    ran = run(stage, rootfs, process("pwd", cwd=cwd))
    assert ran.failure == f'chdir to cwd ("{cwd}") set in config.json failed: {words}'


def test_cwd_through_a_descriptor_is_refused(stage: Path, rootfs: Path) -> None:
    """CVE-2024-21626: with a directory of the host open, cwd must not lead there."""

    def leak(p: Program) -> None:
        p.call("dup3", 0, 9, 0)

    (rootfs / "way").symlink_to("/proc/self/fd/9")
    for cwd in ("/proc/self/fd/9", "/proc/self/fd/9/etc", "/way", "/proc/self/cwd", "/proc/1/root"):
        ran = run(stage, rootfs, process("pwd", cwd=cwd), before=leak)
        assert ran.failure.startswith(f'chdir to cwd ("{cwd}") set in config.json failed: '), ran.output


def test_a_removed_cwd_is_refused(stage: Path, rootfs: Path) -> None:
    def stay_in_removed(p: Program) -> None:
        p.call("mkdirat", -100, "/gone", 0o755)
        p.call("chdir", "/gone")
        p.call("unlinkat", -100, "/gone", 0x200)

    ran = run(stage, rootfs, process("pwd", cwd="/proc/self/cwd"), before=stay_in_removed)
    assert ran.status == 1


# -- args and env ------------------------------------------------------------------------------------------------------


def test_the_first_match_in_path_is_executed(stage: Path, rootfs: Path) -> None:
    for name, mode in (("tmp", 0o644), ("other", 0o755), ("etc", 0o755)):
        (rootfs / name / "tool").write_text(f"#!/bin/sh\necho {name}\n")
        (rootfs / name / "tool").chmod(mode)
    (rootfs / "private/tool").mkdir()
    path = "PATH=/absent:/etc/passwd:/private:/tmp:/other:/etc:/bin"
    ran = run(stage, rootfs, process("tool", env=(path,)))
    assert (ran.failure, ran.output) == ("", "other\n")


def test_the_lookup_is_done_as_the_user(stage: Path, rootfs: Path) -> None:
    for name, mode in (("private", 0o755), ("other", 0o700), ("etc", 0o755)):
        (rootfs / name / "tool").write_text(f"#!/bin/sh\necho {name}\n")
        (rootfs / name / "tool").chmod(mode)
    ran = run(stage, rootfs, process("tool", env=("PATH=/private:/other:/etc:/bin",), uid=1000))
    assert ran.output == "etc\n"


def test_relative_paths_are_relative_to_cwd(stage: Path, rootfs: Path) -> None:
    (rootfs / "other/tool").write_text("#!/bin/sh\necho $0\n")
    (rootfs / "other/tool").chmod(0o755)
    assert run(stage, rootfs, process("./tool", cwd="/other")).output == "./tool\n"
    assert run(stage, rootfs, process("tool", cwd="/other", env=("PATH=/bin:",))).output == "./tool\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x", 'exec: "x": executable file not found in $PATH'),
        ("passwd", 'exec: "passwd": executable file not found in $PATH'),
        (".", 'exec: ".": executable file not found in $PATH'),
        ("..", 'exec: "..": executable file not found in $PATH'),
        ('a"b', 'exec: "a\\"b": executable file not found in $PATH'),
        ("n" * 300, f'exec: "{"n" * 300}": executable file not found in $PATH'),
        ("/nonexistent", 'exec: "/nonexistent": stat /nonexistent: no such file or directory'),
        ("/etc/passwd", 'exec: "/etc/passwd": permission denied'),
        ("/etc/passwd/x", 'exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory'),
        ("/etc", 'exec: "/etc": is a directory'),
        ("./sub/tool", 'exec: "./sub/tool": stat ./sub/tool: no such file or directory'),
        ("/tmp/fifo", 'exec: "/tmp/fifo": permission denied'),
    ],
)
def test_what_cannot_be_executed_is_said_at_create_in_runcs_words(
    stage: Path, rootfs: Path, name: str, words: str
) -> None:
    os.mkfifo(rootfs / "tmp/fifo")
    (rootfs / "tmp/fifo").chmod(0o755)
    assert run(stage, rootfs, process(name, env=("PATH=/etc:/bin",))).failure == words


def test_without_path_nothing_is_found(stage: Path, rootfs: Path) -> None:
    assert run(stage, rootfs, process("sh", env=())).failure == 'exec: "sh": executable file not found in $PATH'


def test_a_missing_interpreter_is_said_at_start(stage: Path, rootfs: Path) -> None:
    (rootfs / "run.sh").write_text("#!/no/such/shell\n")
    (rootfs / "empty").write_text("")
    for name in ("run.sh", "empty"):
        (rootfs / name).chmod(0o755)
    assert run(stage, rootfs, process("/run.sh")).failure == "exec /run.sh: no such file or directory"
    assert run(stage, rootfs, process("/empty")).failure == "exec /empty: exec format error"


def test_the_environment_is_exactly_what_was_asked_for(stage: Path, rootfs: Path) -> None:
    env = ("A=1", "PATH=/bin", "A=2", "HOME=", "EMPTY=", "B=x=y", "ODD=\udcff")
    ran = run(stage, rootfs, process("grep", "-c", "", "/proc/self/environ", env=env), home=b"HOME=/root\0")
    assert ran.failure == ""
    ran = run(stage, rootfs, process("env", env=env[:-1]), home=b"HOME=/root\0")
    assert ran.output.splitlines() == ["PATH=/bin", "A=2", "EMPTY=", "B=x=y", "HOME=/root"]


def test_home_that_is_given_stays_and_the_default_is_the_root(stage: Path, rootfs: Path) -> None:
    assert run(stage, rootfs, process("env", env=("HOME=/me", "PATH=/bin"))).output == "HOME=/me\nPATH=/bin\n"
    assert run(stage, rootfs, process("env", env=("PATH=/bin",))).output == "PATH=/bin\nHOME=/\n"
    _, slot = build_environment(Program(), process("env"))
    assert isinstance(slot, Pointer)


# -- limits ------------------------------------------------------------------------------------------------------------


def test_limits(stage: Path, rootfs: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = (Rlimit(type="RLIMIT_NOFILE", soft=100, hard=hard), Rlimit(type="RLIMIT_CORE", soft=0, hard=0))
    ran = run(stage, rootfs, script("ulimit -n; ulimit -c", rlimits=limits, uid=1000))
    assert (ran.failure, ran.output) == ("", "100\n0\n")


def test_a_refused_limit_says_which(stage: Path, rootfs: Path) -> None:
    limits = (Rlimit(type="RLIMIT_NOFILE", soft=1, hard=1 << 40),)
    ran = run(stage, rootfs, script("true", rlimits=limits))
    assert ran.failure == "process.rlimits[0] RLIMIT_NOFILE: set the limit: EPERM (operation not permitted)"


def test_oom_score_adj(stage: Path, rootfs: Path) -> None:
    own = Path("/proc/self/oom_score_adj").read_text()
    ran = run(stage, rootfs, process("cat", "/proc/self/oom_score_adj", oom_score_adj=321))
    assert (ran.failure, ran.output) == ("", "321\n")
    assert run(stage, rootfs, process("cat", "/proc/self/oom_score_adj")).output == own


def test_scheduler_and_io_priority(stage: Path, rootfs: Path) -> None:
    scheduler = Scheduler(policy="SCHED_BATCH", nice=7, flags=("SCHED_FLAG_RESET_ON_FORK",))
    priority = IOPriority(class_="IOPRIO_CLASS_BE", priority=6)
    wanted = process("/bin/busybox", "ionice", scheduler=scheduler, io_priority=priority)
    assert run(stage, rootfs, wanted).output == "best-effort: prio 6\n"
    ran = run(stage, rootfs, process("cat", "/proc/self/stat", scheduler=scheduler))
    fields = ran.output.rpartition(")")[2].split()
    assert (fields[16], fields[38]) == ("7", "3")  # nice, policy SCHED_BATCH: proc_pid_stat(5)


def test_a_refused_scheduler_says_which(stage: Path, rootfs: Path) -> None:
    wanted = process("true", scheduler=Scheduler(policy="SCHED_FIFO", priority=200))
    ran = run(stage, rootfs, wanted)
    assert ran.failure == "process.scheduler SCHED_FIFO: set the scheduler: EINVAL (invalid argument)"


def test_personality(stage: Path, rootfs: Path) -> None:
    config = Config(oci_version="1.2.0", root=Root(path="r"), linux=Linux(personality=Personality(domain="LINUX32")))
    ran = run(stage, rootfs, process("cat", "/proc/self/personality"), config=config)
    assert int(ran.output, 16) & 0xFF == 8  # PER_LINUX32


def test_memory_policy(stage: Path, rootfs: Path) -> None:
    policy = MemoryPolicy(mode="MPOL_BIND", nodes="0", flags=("MPOL_F_STATIC_NODES",))
    config = Config(oci_version="1.2.0", root=Root(path="r"), linux=Linux(memory_policy=policy))
    ran = run(stage, rootfs, process("grep", "-m1", "heap\\|stack", "/proc/self/numa_maps"), config=config)
    assert "bind" in ran.output, ran.failure


def confine_to_one_id(p: Program) -> None:
    p.call("unshare", CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        file = p.result("openat", -100, f"/proc/self/{name}", os.O_WRONLY)
        p.call("write", file, text, len(text))
        p.close(file)


def test_groups_cannot_be_set_where_setgroups_is_denied(stage: Path, rootfs: Path) -> None:
    ran = run(stage, rootfs, process("id", "-u", groups=(1,)), outside=confine_to_one_id, host=ROOTLESS)
    assert ran.failure == "process.user 0:0: set the groups: EPERM (operation not permitted)"


def test_no_groups_are_fine_where_setgroups_is_denied(stage: Path, rootfs: Path) -> None:
    ran = run(stage, rootfs, process("id", "-u"), outside=confine_to_one_id, host=ROOTLESS)
    assert (ran.failure, ran.output) == ("", "0\n")
    ran = run(stage, rootfs, process("id", "-u"), outside=confine_to_one_id)
    assert ran.failure.startswith("process.user 0:0: set the groups: EPERM")


def test_an_id_that_is_not_mapped_is_an_error(stage: Path, rootfs: Path) -> None:
    ran = run(stage, rootfs, process("id", uid=1), outside=confine_to_one_id, host=ROOTLESS)
    assert ran.failure == "process.user 1:0: set the uid: EINVAL (invalid argument)"
