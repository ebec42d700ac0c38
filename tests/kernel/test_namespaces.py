"""namespaces/join.py and users.py on the real kernel: the stage, in new and joined namespaces, executes a shell."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from errno import EPERM
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ocispec.config import Config, Root
from ocispec.linux import IDMapping, Linux, Namespace, TimeOffset
from pyrunc.errors import ConfigError, KernelError
from pyrunc.kernel.constants import CLONE_NEWNS
from pyrunc.kernel.host import Host
from pyrunc.namespaces.hostname import emit_hostname
from pyrunc.namespaces.join import emit_processes, open_namespaces
from pyrunc.namespaces.network import emit_loopback_up
from pyrunc.namespaces.plan import NamespacePlan, plan_namespaces
from pyrunc.namespaces.sysctl import emit_sysctls
from pyrunc.namespaces.users import write_id_maps
from pyrunc.process.procfs import emit_procfs
from pyrunc.program.builder import Program
from stage_process import StageProcess, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAP_IDS, INIT_PID, READY = 1, 2, 5
FIRST_NAMESPACE = 20  # descriptors of the stage
NOBODY_HERE = 12345  # a uid without a passwd entry, capabilities or files
HOST = Host(euid=0, egid=0, machine=os.uname().machine, in_user_namespace=False, cgroups=())
ROOTLESS = Host(euid=NOBODY_HERE, egid=NOBODY_HERE, machine=os.uname().machine, in_user_namespace=False, cgroups=())
MAPS = (IDMapping(container_id=0, host_id=100000, size=65536),)


def config(*namespaces: str, **linux: object) -> Config:
    """`kind` or `kind=path` each."""
    spaces = tuple(Namespace(type=k, path=path) for k, _, path in (text.partition("=") for text in namespaces))
    return Config(oci_version="1.2.0", root=Root(path="rootfs"), linux=Linux(namespaces=spaces, **linux))


def user_config(*namespaces: str, **linux: object) -> Config:
    return config("user", *namespaces, uid_mappings=MAPS, gid_mappings=MAPS, **linux)


class Born:
    """Drives a stage as process/parent.py does, to its execve of `sh -c script`, and keeps what that printed."""

    def __init__(
        self,
        stage: Path,
        wanted: Config,
        script: str,
        *,
        host: Host = HOST,
        before: Callable[[Program], None] | None = None,
        after: Callable[[Program], None] | None = None,
    ) -> None:
        self.plan = plan_namespaces(wanted, host)
        self.host = host
        opened = open_namespaces(self.plan)
        numbers = {kind: FIRST_NAMESPACE + index for index, (kind, _, _) in enumerate(opened)}
        p = Program()
        if before is not None:
            before(p)
        if self.plan.clone_flags:
            p.call("unshare", self.plan.clone_flags)  # what clone3 does in the runtime
        emit_processes(p, self.plan, numbers, MAP_IDS, INIT_PID)
        if after is not None:
            after(p)
        p.sync(READY, "ready")
        p.call("execve", "/bin/sh", p.pointers(["sh", "-c", script]), p.pointers(["PATH=/usr/bin:/bin:/usr/sbin"]))
        self.program = p
        reading, writing = os.pipe()
        fds = {numbers[kind]: file.number for kind, _, file in opened} | {1: writing, 2: writing}
        self.first = StageProcess([stage], fds)
        os.close(writing)
        for _, _, file in opened:
            file.close()
        self.pids = [self.first.pid]
        with self.first:
            self.first.send(encoded(p))
            self.failure = self._serve()
            with open(reading, closefd=True) as output:
                self.output = output.read()
            self.statuses = [self.first.wait(), *(self._reap(pid) for pid in self.pids[1:])]

    def _serve(self) -> str:
        while (message := self.first.message()) is not None:
            index, value = message
            operation = self.program.operation(index)
            if value < 0:
                return operation.label.failure(-value)
            if operation.number == MAP_IDS:
                write_id_maps(self.first.pid, self.plan, self.host)
            elif operation.number == INIT_PID:
                self.pids.append(value)
            self.first.answer()
            if operation.number == READY:
                self.first.socket.close()
                return ""
        return "ended without a word"

    @staticmethod
    def _reap(pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def lines(self) -> list[str]:
        assert self.failure == "", self.failure
        assert set(self.statuses) == {0}, self.output
        return self.output.splitlines()


@pytest.fixture
def neighbour() -> Iterator[Callable[..., int]]:
    """Starts `unshare OPTIONS sleep` and returns the pid of the sleep, which is in the new namespaces."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str, user: int | None = None) -> int:
        command = ["unshare", *options, "sh", "-c", "echo; exec sleep 60"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, user=user, group=user, extra_groups=[])
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.read(1) == b"\n"
        if "--fork" not in options:
            return process.pid
        return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])

    yield start
    for process in started:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        for pid in [*map(int, children), process.pid]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def namespace_of(pid: int, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")


SHOW = "for n in user pid net ipc uts mnt time; do readlink /proc/self/ns/$n; done"
NAMES = ("user", "pid", "net", "ipc", "uts", "mnt", "time")


def shown(lines: list[str]) -> dict[str, str]:
    return dict(zip(NAMES, lines, strict=True))


def our_namespaces() -> dict[str, str]:
    return {name: namespace_of(os.getpid(), name) for name in NAMES}


def test_new_namespaces_without_a_user_namespace_take_one_process(stage: Path) -> None:
    born = Born(stage, config("network", "ipc", "uts", "mount"), SHOW)
    found, ours = shown(born.lines()), our_namespaces()
    assert {name for name in NAMES if found[name] != ours[name]} == {"net", "ipc", "uts", "mnt"}
    assert len(born.pids) == 1


def test_new_user_namespace_with_all_others(stage: Path) -> None:
    script = f"{SHOW}; id -u; id -g; id -G; echo $$; grep CapEff /proc/self/status; cat /proc/self/uid_map"
    born = Born(stage, user_config("pid", "network", "ipc", "uts", "mount"), script)
    lines = born.lines()
    found, ours = shown(lines[:7]), our_namespaces()
    assert {name for name in NAMES if found[name] == ours[name]} == {"time"}
    assert lines[7:11] == ["0", "0", "0", "1"]
    assert int(lines[11].split()[1], 16).bit_count() > 38
    assert lines[12].split() == ["0", "100000", "65536"]
    assert len(born.pids) == 2


def test_user_namespace_with_the_hosts_pid_namespace_takes_one_process(stage: Path) -> None:
    born = Born(stage, user_config("uts", "mount"), "id -u; hostname inside && hostname")
    assert born.lines() == ["0", "inside"]
    assert len(born.pids) == 1


def test_namespaces_belong_to_the_new_user_namespace(stage: Path) -> None:
    """Else its root could not mount, nor set the host name."""
    script = "hostname inside && mount -t tmpfs none /mnt && mount -t proc proc /proc && ls /proc | grep -c '^[0-9]'"
    lines = Born(stage, user_config("pid", "uts", "mount", "network"), script).lines()
    assert int(lines[0]) <= 4


def test_joined_namespaces_with_a_new_pid_namespace_take_one_process(
    stage: Path, neighbour: Callable[..., int]
) -> None:
    """What every container of a Kubernetes pod asks for."""
    pid = neighbour("--net", "--ipc", "--uts")
    paths = [f"network=/proc/{pid}/ns/net", f"ipc=/proc/{pid}/ns/ipc", f"uts=/proc/{pid}/ns/uts"]
    born = Born(stage, config(*paths, "mount"), SHOW)
    found = shown(born.lines())
    assert [found[name] for name in ("net", "ipc", "uts")] == [namespace_of(pid, n) for n in ("net", "ipc", "uts")]
    assert found["mnt"] != our_namespaces()["mnt"]
    assert len(born.pids) == 1
    assert not plan_namespaces(config(*paths, "pid", "mount"), HOST).needs_second_process


def test_joined_pid_namespace_takes_a_second_process(stage: Path, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--pid", "--fork")
    born = Born(stage, config(f"pid=/proc/{pid}/ns/pid", "mount"), SHOW)
    found = shown(born.lines())
    assert found["pid"] == namespace_of(pid, "pid")
    assert found["mnt"] != our_namespaces()["mnt"]
    assert len(born.pids) == 2


def test_joined_mount_namespace_changes_the_root(stage: Path, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--mount")
    found = shown(Born(stage, config(f"mount=/proc/{pid}/ns/mnt"), SHOW).lines())
    assert found["mnt"] == namespace_of(pid, "mnt")


def test_joined_user_namespace_and_what_belongs_to_it(stage: Path, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--user", "--map-root-user", "--net")
    wanted = config(f"user=/proc/{pid}/ns/user", f"network=/proc/{pid}/ns/net", "uts", "mount")
    lines = Born(stage, wanted, f"{SHOW}; id -u; hostname x").lines()
    found = shown(lines[:7])
    assert [found["user"], found["net"]] == [namespace_of(pid, "user"), namespace_of(pid, "net")]
    assert lines[7] == "0"


def test_host_network_namespace_beside_a_new_user_namespace(stage: Path, neighbour: Callable[..., int]) -> None:
    """It belongs to the host: only the first attempt, before the user namespace is entered, can work."""
    pid = neighbour("--net")
    found = shown(Born(stage, user_config(f"network=/proc/{pid}/ns/net", "pid"), SHOW).lines())
    assert found["net"] == namespace_of(pid, "net")


def become_nobody(p: Program) -> None:
    p.call("setgroups", 0, 0)
    p.call("setresgid", NOBODY_HERE, NOBODY_HERE, NOBODY_HERE)
    p.call("setresuid", NOBODY_HERE, NOBODY_HERE, NOBODY_HERE)
    p.call("prctl", 4, 1)  # PR_SET_DUMPABLE: as a process has it that was started by that user


def test_unprivileged_join_succeeds_on_the_second_attempt(stage: Path, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--user", "--map-root-user", "--net", user=NOBODY_HERE)
    wanted = config(f"network=/proc/{pid}/ns/net", f"user=/proc/{pid}/ns/user")
    born = Born(stage, wanted, f"{SHOW}; id -u", host=ROOTLESS, before=become_nobody)
    lines = born.lines()
    assert shown(lines[:7])["net"] == namespace_of(pid, "net")
    assert lines[7] == "0"


def test_unprivileged_join_without_a_user_namespace_is_refused(stage: Path, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--net")
    born = Born(stage, config(f"network=/proc/{pid}/ns/net"), SHOW, before=become_nobody)
    assert born.failure.startswith(f"linux.namespaces[0] network /proc/{pid}/ns/net: join the namespace: EPERM")


def as_nobody(stage: Path, wanted: Config, script: str, prepare: Callable[[], None] | None = None) -> str:
    """`failure|output` of a birth for which everything is unprivileged, the parent's part too."""
    image = os.open(stage, os.O_RDONLY)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if prepare is not None:
                prepare()
            os.setgroups([])
            os.setresgid(NOBODY_HERE, NOBODY_HERE, NOBODY_HERE)
            os.setresuid(NOBODY_HERE, NOBODY_HERE, NOBODY_HERE)
            born = Born(Path(f"/proc/self/fd/{image}"), wanted, script, host=ROOTLESS)
            os.write(writing, f"{born.failure}|{born.output}".encode())
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(image)
    os.close(writing)
    with open(reading) as output:
        said = output.read()
    os.waitpid(child, 0)
    return said


def test_rootless_with_one_id(stage: Path) -> None:
    """setgroups is denied, the map is written without help."""
    own = (IDMapping(container_id=0, host_id=NOBODY_HERE, size=1),)
    wanted = config("user", "pid", "uts", "mount", "network", uid_mappings=own, gid_mappings=own)
    script = "id -u; id -g; cat /proc/self/setgroups; hostname x; mount -t tmpfs none /mnt && echo mounted"
    assert as_nobody(stage, wanted, script) == "|0\n0\ndeny\nmounted\n"


def grant_ids(tmp_path: Path) -> Callable[[], None]:
    """In a mount namespace of its own, this user gets 1000 ids from 500000 in /etc/subuid and /etc/subgid."""
    for name, line in (
        ("passwd", f"mapper:x:{NOBODY_HERE}:{NOBODY_HERE}::/:/bin/sh\n"),
        ("subuid", "mapper:500000:1000\n"),
        ("subgid", "mapper:500000:1000\n"),
    ):
        (tmp_path / name).write_text(line)
        (tmp_path / name).chmod(0o644)

    def prepare() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        mounts = [(b"none", b"/", 0x44000)]  # MS_REC | MS_PRIVATE
        mounts += [
            (bytes(tmp_path / name), b"/etc/" + name.encode(), 0x1000) for name in ("passwd", "subuid", "subgid")
        ]
        if libc.unshare(CLONE_NEWNS) or any(libc.mount(s, t, None, flags, None) for s, t, flags in mounts):
            raise OSError(ctypes.get_errno(), "prepare")

    return prepare


def mapped(size: int) -> Config:
    maps = (
        IDMapping(container_id=0, host_id=NOBODY_HERE, size=1),
        IDMapping(container_id=1, host_id=500000, size=size),
    )
    return config("user", "pid", "mount", uid_mappings=maps, gid_mappings=maps)


def test_rootless_with_newuidmap(stage: Path, tmp_path: Path) -> None:
    script = "id -u; id -G; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups"
    said = as_nobody(stage, mapped(1000), script, grant_ids(tmp_path))
    words = said.split()
    assert words[:2] == ["|0", "0"], said
    assert words[2:8] == words[8:14] == ["0", str(NOBODY_HERE), "1", "1", "500000", "1000"]
    assert words[14] == "allow"


def test_what_newuidmap_says_is_the_error(stage: Path, tmp_path: Path) -> None:
    said = as_nobody(stage, mapped(1001), "true", grant_ids(tmp_path))
    assert said.startswith(
        "PyruncError: /usr/bin/newgidmap: newgidmap: gid range [1-1002) -> [500000-501001) not allowed"
    )


def test_joined_user_namespace_with_its_own_mappings_is_accepted(stage: Path, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--user", "--map-root-user")
    same = (IDMapping(container_id=0, host_id=0, size=1),)
    wanted = config(f"user=/proc/{pid}/ns/user", uid_mappings=same, gid_mappings=same)
    assert Born(stage, wanted, "id -u").lines() == ["0"]


def test_joined_user_namespace_with_other_mappings_is_refused(stage: Path, neighbour: Callable[..., int]) -> None:
    pid = neighbour("--user", "--map-root-user")
    wanted = config(f"user=/proc/{pid}/ns/user", uid_mappings=MAPS, gid_mappings=MAPS)
    with pytest.raises(ConfigError, match="not the mappings of the user namespace"):
        Born(stage, wanted, "id -u")


def test_own_user_namespace_may_be_named(stage: Path) -> None:
    assert Born(stage, config("user=/proc/self/ns/user", "uts"), "id -u; hostname x").lines() == ["0"]


def test_time_offsets(stage: Path) -> None:
    offsets = {"monotonic": TimeOffset(secs=86400, nanosecs=5), "boottime": TimeOffset(secs=604800)}
    born = Born(stage, config("time", "mount", time_offsets=offsets), f"{SHOW}; cat /proc/uptime")
    lines = born.lines()
    assert shown(lines[:7])["time"] != our_namespaces()["time"]
    uptime = float(lines[7].split()[0]) - float(Path("/proc/uptime").read_text().split()[0])
    assert 604790 < uptime < 604810
    assert len(born.pids) == 2


def test_time_offsets_in_a_new_user_namespace(stage: Path) -> None:
    wanted = user_config("time", "pid", time_offsets={"boottime": TimeOffset(secs=-1)})
    assert Born(stage, wanted, "id -u; echo $$").lines() == ["0", "1"]


def test_time_offset_before_the_boot_is_an_error_with_its_place(stage: Path) -> None:
    wanted = config("time", time_offsets={"boottime": TimeOffset(secs=-(1 << 40))})
    assert Born(stage, wanted, "true").failure.startswith("linux.timeOffsets: set the offsets of its clocks: ERANGE")


@pytest.mark.parametrize("others", [("uts",), ("pid",), ("pid", "time")])
def test_init_dies_with_its_parent(stage: Path, others: tuple[str, ...]) -> None:
    """PR_SET_PDEATHSIG survives neither a fork nor a change of ids."""

    def check(p: Program) -> None:
        death_signal = p.scratch(4)
        p.call("prctl", 2, death_signal)  # PR_GET_PDEATHSIG
        p.check(death_signal, signal.SIGKILL, doing="compare the parent death signal", errno=EPERM)

    assert Born(stage, user_config(*others), "echo alive", after=check).lines() == ["alive"]


def test_second_process_waits_for_the_end_of_the_first(stage: Path) -> None:
    """The child must not speak on the socket while the first process still waits there for its answer."""
    plan = plan_namespaces(user_config("pid"), HOST)
    p = Program()
    emit_processes(p, plan, {}, MAP_IDS, INIT_PID)
    p.sync(READY, "ready")
    with StageProcess([stage]) as first:
        first.send(encoded(p))
        assert first.message() is not None
        write_id_maps(first.pid, plan, HOST)
        first.answer()
        message = first.message()
        assert message is not None
        assert p.operation(message[0]).number == INIT_PID
        time.sleep(0.05)
        first.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.message()
        first.socket.settimeout(10)
        first.answer()
        assert first.wait() == 0
        ready = first.message()
        assert ready is not None
        assert p.operation(ready[0]).number == READY
        first.socket.close()
        assert Born._reap(message[1]) == 1


def test_both_processes_end_when_the_parent_goes(stage: Path) -> None:
    plan = plan_namespaces(user_config("pid"), HOST)
    p = Program()
    emit_processes(p, plan, {}, MAP_IDS, INIT_PID)
    p.sync(READY, "ready")
    with StageProcess([stage]) as first:
        first.send(encoded(p))
        first.message()
        write_id_maps(first.pid, plan, HOST)
        first.answer()
        message = first.message()
        assert message is not None
        first.socket.close()
        assert first.wait() == 1
        assert Born._reap(message[1]) == 1


def test_loopback_is_up_in_a_new_network_namespace(stage: Path) -> None:
    born = Born(stage, user_config("network"), "cat /proc/self/net/if_inet6; ip addr", after=emit_loopback_up)
    assert any(line.split()[-1] == "lo" for line in born.lines() if line)
    assert "LOOPBACK,UP" in born.output


def test_hostname_and_domainname(stage: Path) -> None:
    wanted = Config(
        oci_version="1.2.0", root=Root(path="r"), hostname="box", domainname="example",
        linux=Linux(namespaces=(Namespace(type="uts"),)),
    )  # fmt: skip
    born = Born(stage, wanted, "hostname; cat /proc/sys/kernel/domainname", after=lambda p: emit_hostname(p, wanted))
    assert born.lines() == ["box", "example"]


@pytest.mark.parametrize("make", [config, user_config])
def test_sysctls_of_the_containers_namespaces(stage: Path, make: Callable[..., Config]) -> None:
    keys = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "123456", "net.ipv4.conf.lo.forwarding": "0"}
    before = [Path("/proc/sys", key.replace(".", "/")).read_text() for key in keys]
    wanted = make("network", "ipc", "mount", sysctl=keys)
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/net/ipv4/conf/lo/forwarding"
    born = Born(stage, wanted, script, after=lambda p: emit_sysctls(p, wanted, emit_procfs(p)))
    assert born.lines() == ["1", "123456", "0"]
    assert [Path("/proc/sys", key.replace(".", "/")).read_text() for key in keys] == before


def test_sysctl_errors_name_the_key(stage: Path) -> None:
    wanted = config("network", sysctl={"net.ipv4.no_such_thing": "1"})
    born = Born(stage, wanted, "true", after=lambda p: emit_sysctls(p, wanted, emit_procfs(p)))
    assert born.failure == "linux.sysctl net.ipv4.no_such_thing: open: ENOENT (no such file or directory)"
    wanted = config("network", sysctl={"net.ipv4.ip_forward": "lots"})
    born = Born(stage, wanted, "true", after=lambda p: emit_sysctls(p, wanted, emit_procfs(p)))
    assert born.failure.startswith("linux.sysctl net.ipv4.ip_forward: write 'lots': EINVAL")


@pytest.mark.parametrize("covered", ["/proc/sys", "/proc/sys/net"])
def test_what_is_mounted_on_proc_sys_is_not_in_the_way(stage: Path, covered: str) -> None:
    wanted = config("network", "mount", sysctl={"net.ipv4.ip_forward": "1"})

    def cover(p: Program) -> None:
        p.call("mount", "", "/", "", 0x44000, "")  # MS_REC|MS_PRIVATE
        p.call("mount", "tmpfs", covered, "tmpfs", 0, "")
        emit_sysctls(p, wanted, emit_procfs(p))

    script = "mount -t proc proc /mnt && cat /mnt/sys/net/ipv4/ip_forward"
    assert Born(stage, wanted, script, after=cover).lines() == ["1"]


# -- open_namespaces -------------------------------------------------------------------------------------------------


def plan_of(*namespaces: str, **linux: object) -> NamespacePlan:
    return plan_namespaces(config(*namespaces, **linux), HOST)


def open_count() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_namespace_of_another_kind_is_refused() -> None:
    before = open_count()
    with pytest.raises(ConfigError) as error:
        open_namespaces(plan_of("ipc=/proc/self/ns/ipc", "network=/proc/self/ns/uts"))
    assert str(error.value) == "linux.namespaces[1]: /proc/self/ns/uts is a uts namespace, not a network namespace"
    assert open_count() == before


def test_what_is_no_namespace_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in ("/etc/passwd", "/proc", "/dev/null", str(tmp_path / "fifo")):
        with pytest.raises(ConfigError, match="is no namespace, not a network namespace"):
            open_namespaces(plan_of(f"network={path}"))


def test_a_missing_namespace_is_an_error_with_its_path() -> None:
    with pytest.raises(KernelError) as error:
        open_namespaces(plan_of("network=/run/netns/none"))
    assert str(error.value).startswith("linux.namespaces[0]: open the network namespace /run/netns/none: ENOENT")


def test_net_sysctls_in_the_hosts_network_namespace_are_refused() -> None:
    with pytest.raises(ConfigError, match="the host's network namespace"):
        open_namespaces(plan_of("network=/proc/self/ns/net", sysctl={"net.ipv4.ip_forward": "1"}))
    (kind, _flag, file), *others = open_namespaces(plan_of("network=/proc/self/ns/net"))
    with file:
        assert (kind, others) == ("network", [])


def test_the_error_of_a_joined_namespace_is_its_own(stage: Path, neighbour: Callable[..., int]) -> None:
    """EPERM on both attempts fails at the second one."""
    pid = neighbour("--net")
    own = (IDMapping(container_id=0, host_id=NOBODY_HERE, size=1),)
    wanted = config("user", f"network=/proc/{pid}/ns/net", uid_mappings=own, gid_mappings=own)
    born = Born(stage, wanted, "true", before=become_nobody)
    assert "network" in born.failure
    assert os.strerror(EPERM).lower() in born.failure
