"""Podman and conmon, as root and as a user; Buildah's `build` with the runtime under test."""

from __future__ import annotations

import copy
import os
import time
from typing import TYPE_CHECKING

import pytest
from engines.island import RUNTIME_PATH, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from engines.daemons import Podman

pytestmark = pytest.mark.slow

# Ends on SIGTERM with status 0, as a well-behaved service does
SERVICE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def service(podman: Podman, name: str) -> str:
    podman("run", "--detach", "--name", name, *podman.placed(), "box", "sh", "-c", SERVICE).ok()
    return name


def descriptor_three(content: bytes) -> Callable[[], None]:
    """Before exec: descriptor 3 is a pipe that holds this."""
    read_end, write_end = os.pipe()
    os.write(write_end, content)
    os.close(write_end)

    def hand_over() -> None:
        os.dup2(read_end, 3)

    return hand_over


def test_which_runtime(podman: Podman) -> None:
    assert podman("info", "--format", "{{.Host.OCIRuntime.Path}}").ok().text == str(RUNTIME_PATH)


def test_output_and_exit_status(podman: Podman) -> None:
    script = "echo to stdout; echo to stderr >&2; exit 7"
    podman.run("box", "sh", "-c", script).must_end(7, "to stdout", "to stderr")


def test_input(podman: Podman) -> None:
    content = os.urandom(50_000).hex().encode()
    assert podman.run("--interactive", "box", "cat", given=content).ok().out.encode() == content


def test_terminal(podman: Podman, name: str) -> None:
    script = "until [ \"$(stty size)\" = '33 99' ]; do sleep 0.05; done; tty"
    words = ("run", "--rm", "-it", "--name", name, *podman.placed(), "box", "sh", "-c", script)
    podman.in_terminal(*words, size=(33, 99)).ok("/dev/pts/0")


def test_exec(podman: Podman, service: str) -> None:
    podman("exec", service, "sh", "-c", "echo inside; exit 3").must_end(3, "inside")
    result = podman("exec", "--user", "app", "--workdir", "/tmp", "--env", "WORD=there", service, "sh", "-c", "id; env")
    result.ok("uid=1000(app)")
    assert "WORD=there" in result.out
    podman.in_terminal("exec", "-it", service, "tty").ok("/dev/pts/0")


@pytest.mark.parametrize(
    ("program", "status", "said"),
    [
        ("/nowhere", 127, "no such file or directory"),
        ("nowhere", 127, "executable file not found in $PATH"),
        ("/etc/passwd", 126, "permission denied"),
    ],
)
def test_what_cannot_be_executed(podman: Podman, service: str, program: str, status: int, said: str) -> None:
    podman.run("box", program).must_end(status, said)
    podman("exec", service, program).must_end(status, said)


def test_preserved_descriptors(podman: Podman, service: str) -> None:
    for words in (
        ("run", "--rm", *podman.placed(), "--preserve-fds", "1", "box"),
        ("exec", "--preserve-fds", "1", service),
    ):
        hand_over = descriptor_three(b"handed over")
        podman(*words, "sh", "-c", "cat <&3", preexec_fn=hand_over, close_fds=False).ok("handed over")


def test_stop_start_restart_kill_remove(podman: Podman, service: str) -> None:
    podman("stop", "--time", "5", service).ok()
    assert podman.inspect(service, "{{.State.Status}} {{.State.ExitCode}}") == "exited 0"
    podman("start", service).ok()
    podman("restart", "--time", "5", service).ok()
    podman("kill", service).ok()
    wait_until(lambda: podman.inspect(service, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137")
    podman("rm", service).ok()


def test_init_and_start(podman: Podman, name: str) -> None:
    podman("create", "--name", name, *podman.placed(), "box", "echo", "started").ok()
    podman("init", name).ok()
    assert podman.status(name) in ("created", "initialized")
    podman("start", "--attach", name).ok("started")


def test_logs_and_top(podman: Podman, service: str, name: str) -> None:
    podman("top", service).ok("sleep")
    podman("run", "--name", f"{name}-logs", *podman.placed(), "box", "sh", "-c", "echo one; echo two").ok()
    assert podman("logs", f"{name}-logs").ok().out == "one\ntwo\n"


def test_confined(podman: Podman) -> None:
    podman.run("--read-only", "box", "touch", "/x").must_end(1, "Read-only file system")
    show = ("box", "grep", "-E", "CapEff|Seccomp:|NoNewPrivs", "/proc/self/status")
    result = podman.run(
        "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "--security-opt", "no-new-privileges", *show
    )
    result.ok("CapEff:\t0000000000000400")
    assert "NoNewPrivs:\t1\nSeccomp:\t2" in result.out


def test_privileged(podman: Podman) -> None:
    podman.run("--privileged", "box", "sh", "-c", "mkdir /m && mount -t tmpfs none /m && mount").ok(" on /m type tmpfs")


def test_volumes_and_masks(podman: Podman) -> None:
    words = ("--tmpfs", "/fast:size=1m", "--volume", "/etc:/given:ro", "--security-opt", "mask=/proc/uptime")
    result = podman.run(*words, "box", "sh", "-c", "mount; cat /proc/uptime; touch /given/x").must_end(1, "size=1024k")
    assert "/given" in result.out


def test_health_check(podman: Podman, name: str) -> None:
    flags = ("--health-cmd", "test -e /tmp/well", "--health-interval", "disable")
    podman("run", "--detach", "--name", name, *flags, *podman.placed(), "box", "sh", "-c", SERVICE).ok()
    assert podman("healthcheck", "run", name).status == 1
    podman("exec", name, "touch", "/tmp/well").ok()
    podman("healthcheck", "run", name).ok()


def test_pod(podman: Podman, name: str) -> None:
    infra = ("--infra-image", "box", "--infra-command", "sleep 1000")
    podman("pod", "create", "--name", name, *podman.placed(), *infra).ok()
    podman("run", "--detach", "--pod", name, "box", "sleep", "1001").ok()
    podman("pod", "top", name).ok("sleep 1001")
    podman("pod", "rm", "--force", "--time", "0", name).ok()


def test_build(podman: Podman) -> None:
    context = podman.top / "context"
    context.mkdir()
    (context / "Containerfile").write_text("FROM box\nRUN echo built >/file && id\n")
    for path in (context, context / "Containerfile"):
        os.chown(path, podman.top.stat().st_uid, -1)
    words = ("--isolation", "oci", "--runtime", str(RUNTIME_PATH), "--no-cache", "--network", "none", "--tag", "built")
    podman("build", *words, str(context)).ok("uid=0(root)")
    podman.run("built", "cat", "/file").ok("built")


def test_user_namespace(podman: Podman) -> None:
    first = "1" if podman.rootless else "100000000"
    ids = ("--uidmap", f"0:{first}:1000", "--gidmap", f"0:{first}:1000")
    shown = podman.run(*ids, "box", "cat", "/proc/self/uid_map").ok().out.split()
    assert (shown[0], shown[2]) == ("0", "1000")


def test_pause(podman: Podman, service: str) -> None:
    if podman.rootless:  # there is no freezer that a user may write to, with cgroups of version 1
        assert podman("pause", service).status != 0
        return
    podman("pause", service).ok()
    assert podman.status(service) == "paused"
    podman("unpause", service).ok()
    podman("exec", service, "true").ok()


def test_limits_and_update(podman: Podman, service: str) -> None:
    if podman.rootless:  # podman itself leaves limits out then
        podman.run("--memory", "64m", "box", "true").ok("ignored on cgroups V1 rootless systems")
        return
    show = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
    show += " || cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max"
    result = podman.run("--memory", "64m", "--pids-limit", "20", "box", "sh", "-c", show)
    assert result.ok().out.split() == ["20", "67108864"]
    podman("update", "--memory", "32m", "--cpus", "0.5", service).ok()
    podman("exec", service, "sh", "-c", show).ok("33554432")
    podman("stats", "--no-stream", service).ok()
    podman.run("--memory", "16m", "--memory-swap", "16m", "box", "tail", "/dev/zero").must_end(137)


def test_host_namespaces_and_devices(podman: Podman) -> None:
    kinds = ("network", "uts", "pid") if podman.rootless else ("network", "ipc", "uts", "pid")  # no /dev/mqueue to bind
    flags = [word for kind in kinds for word in (f"--{kind}", "host")]
    podman.run(*flags, "box", "true").ok()
    podman.run("--device", "/dev/fuse", "box", "ls", "-l", "/dev/fuse").ok("10, 229")


def test_network(podman: Podman) -> None:
    interfaces = podman.run("--network", "slirp4netns", "box", "ip", "address").ok()
    assert "tap0" in interfaces.out


def test_removal_does_not_wait(podman: Podman, service: str) -> None:
    began = time.monotonic()
    podman("rm", "--force", "--time", "0", service).ok()
    assert time.monotonic() - began < 10


def test_tmpfs_over_a_directory_with_content(podman: Podman) -> None:
    """Podman asks for tmpcopyup with every tmpfs, those of --read-only too; with and without a user namespace."""
    script = "ls -lnR /etc; echo x >> /etc/passwd && echo written; touch /bin/x 2>/dev/null || echo read-only"
    ids = ("--uidmap", "0:1:1000", "--gidmap", "0:1:1000") if podman.rootless else ("--uidmap", "0:100000000:1000")
    for more in ((), ids):
        before = podman.run(*more, "box", "sh", "-c", "ls -lnR /etc").ok().text
        assert "passwd" in before
        shown = podman.run("--read-only", "--tmpfs", "/etc", *more, "box", "sh", "-c", script).ok().text
        assert names_and_owners(shown) >= names_and_owners(before)
        assert shown.endswith("written\nread-only")


def names_and_owners(listing: str) -> set[tuple[str, ...]]:
    """Files and links of `ls -ln`, without times."""
    rows = [line.split() for line in listing.splitlines() if line[:1] in ("-", "l")]
    return {(row[0], row[2], row[3], row[8]) for row in rows if row[8] not in ("hosts", "resolv.conf", "hostname")}


def test_id_mapped_volume(podman: Podman) -> None:
    if podman.rootless:  # the kernel lets only root of the host map ids of a file system of the host's
        return
    volume = podman.top / "mapped"
    volume.mkdir()
    (volume / "file").touch()
    ids = ("--uidmap", "0:100000000:1000", "--gidmap", "0:100000000:1000")
    option = f"type=bind,source={volume},target=/volume,idmap"
    assert podman.run(*ids, "--mount", option, "box", "stat", "-c", "%u %g", "/volume/file").ok().text == "0 0"


def test_groups_are_kept(podman: Podman) -> None:
    """--group-add keep-groups is crun's annotation, which runc does not know.

    Without root the group has no number inside, and is there all the same.
    """
    member = copy.copy(podman)
    if podman.rootless:
        member.entry = tuple("--groups=4242" if word == "--init-groups" else word for word in podman.entry)
    else:
        member.entry = ("setpriv", "--groups", "4242", *podman.entry)
    wanted = "65534" if podman.rootless else "4242"
    show = ("box", "grep", "Groups:", "/proc/self/status")
    kept = wanted in member.run("--group-add", "keep-groups", *show).ok().out.split()
    assert kept is (RUNTIME_PATH.name != "runc")
    assert wanted not in member.run(*show).ok().out.split()
