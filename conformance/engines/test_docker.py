"""Docker: dockerd, its containerd, the shim, and the runtime; everything that one types in the first month."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from engines.island import RUNTIME_PATH, wait_until

if TYPE_CHECKING:
    from engines.daemons import Docker

# Ends on SIGTERM with status 0, as a well-behaved service does
SERVICE = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


@pytest.fixture
def service(docker: Docker, name: str) -> str:
    docker("run", "--detach", "--name", name, "box", "sh", "-c", SERVICE).ok()
    return name


def test_which_runtime(docker: Docker) -> None:
    shown = json.loads(docker("info", "--format", "{{json .}}").ok().text)
    assert shown["DefaultRuntime"] == "tested"
    assert shown["Runtimes"]["tested"]["path"] == str(RUNTIME_PATH)


def test_output_and_exit_status(docker: Docker) -> None:
    script = "echo to stdout; echo to stderr >&2; exit 7"
    docker.run("box", "sh", "-c", script).must_end(7, "to stdout", "to stderr")


def test_input(docker: Docker) -> None:
    content = os.urandom(100_000).hex().encode()
    assert docker.run("--interactive", "box", "cat", given=content).ok().out.encode() == content


def test_terminal(docker: Docker) -> None:
    script = "until [ \"$(stty size)\" = '33 99' ]; do sleep 0.05; done; tty"
    docker.in_terminal("run", "--rm", "-it", "box", "sh", "-c", script, size=(33, 99)).ok("/dev/pts/0")


def test_terminal_input(docker: Docker) -> None:
    script = 'echo ready; read line; echo "got $line"; exit 5'
    docker.in_terminal("run", "--rm", "-it", "box", "sh", "-c", script, typed=b"word\n").must_end(5, "got word")


def test_create_start_attach(docker: Docker, name: str) -> None:
    docker("create", "--interactive", "--name", name, "box", "cat").ok()
    assert docker.status(name) == "created"
    docker("start", "--attach", "--interactive", name, given=b"through attach").ok("through attach")


def test_attach(docker: Docker, name: str) -> None:
    script = 'read line; echo "got $line"; exit 4'
    docker("run", "--detach", "--interactive", "--name", name, "box", "sh", "-c", script).ok()
    docker("attach", name, given=b"word\n").must_end(4)
    docker("logs", name).ok("got word")


def test_logs(docker: Docker, name: str) -> None:
    docker("run", "--name", name, "box", "sh", "-c", "for i in 1 2 3; do echo line $i; done").ok()
    assert docker("logs", name).ok().out == "line 1\nline 2\nline 3\n"


def test_exec(docker: Docker, service: str) -> None:
    docker("exec", service, "sh", "-c", "echo inside; exit 3").must_end(3, "inside")
    words = ("exec", "--user", "app", "--workdir", "/tmp", "--env", "WORD=there", service)
    result = docker(*words, "sh", "-c", "id; pwd; echo $WORD").ok("uid=1000(app) gid=1000(app)")
    assert result.out.endswith("/tmp\nthere\n")
    assert "2000(extra)" in result.out
    docker("exec", "--interactive", service, "cat", given=b"through exec").ok("through exec")


def test_exec_detached(docker: Docker, service: str) -> None:
    docker("exec", "--detach", service, "touch", "/tmp/by-exec").ok()
    wait_until(lambda: docker("exec", service, "test", "-e", "/tmp/by-exec").status == 0)


def test_exec_terminal(docker: Docker, service: str) -> None:
    script = "until [ \"$(stty size)\" = '21 43' ]; do sleep 0.05; done; tty"
    docker.in_terminal("exec", "-it", service, "sh", "-c", script, size=(21, 43)).ok("/dev/pts/0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("SERVICE", "/nowhere"), "no such file or directory"),
        (("SERVICE", "nowhere"), "executable file not found in $PATH"),
        (("SERVICE", "/etc/passwd"), "permission denied"),
        (("--workdir", "/nowhere", "SERVICE", "true"), "no such file or directory"),
    ],
)
def test_exec_that_fails(docker: Docker, service: str, words: tuple[str, ...], said: str) -> None:
    status = 127 if "executable" in said else 126
    result = docker("exec", *(service if word == "SERVICE" else word for word in words))
    assert result.status in (status, 126), result  # 20.10 says 126 where later ones say 127
    assert said in result.out, result


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("box", "/nowhere"), 127, "no such file or directory"),
        (("box", "nowhere"), 127, "executable file not found in $PATH"),
        (("box", "/etc/passwd"), 126, "permission denied"),
        (("--volume", "/etc/hostname:/etc", "box", "true"), 125, "not a directory"),
    ],
)
def test_run_that_fails(docker: Docker, words: tuple[str, ...], status: int, said: str) -> None:
    docker.run(*words).must_end(status, said)


def test_stop_start_restart_kill_remove(docker: Docker, service: str) -> None:
    docker("stop", "--time", "5", service).ok()
    assert docker.inspect(service, "{{.State.Status}} {{.State.ExitCode}}") == "exited 0"
    docker("start", service).ok()
    docker("restart", "--time", "5", service).ok()
    docker("kill", "--signal", "KILL", service).ok()
    wait_until(lambda: docker.inspect(service, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137")
    docker("rm", service).ok()
    assert docker("inspect", service).status == 1


def test_signals(docker: Docker, name: str) -> None:
    script = "trap 'echo got USR1; exit 9' USR1; echo ready; while :; do sleep 0.1; done"
    docker("run", "--detach", "--name", name, "box", "sh", "-c", script).ok()
    wait_until(lambda: "ready" in docker("logs", name).out)
    docker("kill", "--signal", "USR1", name).ok()
    assert docker("wait", name).ok().text == "9"
    docker("logs", name).ok("got USR1")


def test_pause(docker: Docker, service: str) -> None:
    docker("pause", service).ok()
    assert docker.status(service) == "paused"
    assert docker("exec", service, "true").status != 0
    docker("unpause", service).ok()
    docker("exec", service, "true").ok()


def test_stats_and_top(docker: Docker, service: str) -> None:
    shown = docker("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", service).ok().text
    assert int(shown.split()[0]) >= 1
    docker("top", service).ok("sleep")
    docker("top", service, "-o", "pid,args").ok("PID")


def test_update(docker: Docker, service: str) -> None:
    flags = ("--memory", "64m", "--memory-swap", "128m", "--cpus", "0.5", "--pids-limit", "50", "--cpuset-cpus", "0")
    docker("update", *flags, service).ok()
    script = (
        "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null ||"
        " cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max"
    )
    assert docker("exec", service, "sh", "-c", script).ok().out.split() == ["50", "67108864"]


def test_limits(docker: Docker) -> None:
    flags = ("--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "20", "--cpuset-cpus", "0")
    script = (
        "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null ||"
        " cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/memory.max"
    )
    result = docker.run(*flags, "--blkio-weight", "300", "box", "sh", "-c", script)
    assert result.ok().out.split()[-2:] == ["20", "67108864"]  # warnings of dockerd before


def test_out_of_memory(docker: Docker, name: str) -> None:
    docker("run", "--name", name, "--memory", "16m", "--memory-swap", "16m", "box", "tail", "/dev/zero").must_end(137)
    assert docker.inspect(name, "{{.State.OOMKilled}}") == "true"


def test_read_only(docker: Docker) -> None:
    docker.run("--read-only", "box", "touch", "/x").must_end(1, "Read-only file system")


def test_users_and_capabilities(docker: Docker) -> None:
    docker.run("--user", "1000:1000", "box", "id").ok("uid=1000")
    words = ("--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE", "box", "grep", "CapEff", "/proc/self/status")
    docker.run(*words).ok("CapEff:\t0000000000000400")


def test_seccomp(docker: Docker) -> None:
    show = ("box", "grep", "-E", "Seccomp:|NoNewPrivs", "/proc/self/status")
    docker.run(*show).ok("NoNewPrivs:\t0\nSeccomp:\t2")
    docker.run("--security-opt", "no-new-privileges", *show).ok("NoNewPrivs:\t1\nSeccomp:\t2")
    docker.run("--security-opt", "seccomp=unconfined", *show).ok("Seccomp:\t0")


def test_own_seccomp_profile(docker: Docker) -> None:
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    path = docker.island.directory / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    docker.run("--security-opt", f"seccomp={path}", "box", "mkdir", "/x").must_end(1, "Function not implemented")


def test_volumes(docker: Docker) -> None:
    there = docker.island.directory / "volume"
    there.mkdir()
    (there / "file").write_text("from the host\n")
    words = ("--volume", f"{there}:/given:ro", "--volume", "named:/named", "--tmpfs", "/fast:size=1m", "box")
    docker.run(*words, "sh", "-c", "cat /given/file; mount; echo kept >/named/file").ok("size=1024k")
    docker.run(*words, "sh", "-c", "cat /given/file /named/file").ok("from the host\nkept")
    docker.run(*words, "touch", "/given/x").must_end(1, "Read-only file system")


def test_device(docker: Docker) -> None:
    docker.run("--device", "/dev/fuse:/dev/other:r", "box", "ls", "-l", "/dev/other").ok("10, 229")


def test_surroundings(docker: Docker) -> None:
    flags = ("--hostname", "named", "--ulimit", "nofile=100:200", "--shm-size", "8m", "--oom-score-adj", "500")
    script = "hostname; ulimit -n; cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/self/oom_score_adj"
    result = docker.run(*flags, "--sysctl", "net.ipv4.ip_unprivileged_port_start=0", "box", "sh", "-c", script)
    assert result.ok().out.split() == ["named", "100", "0", "500"]


def test_init(docker: Docker) -> None:
    docker.run("--init", "box", "ps", "-o", "args").ok("docker-init")


def test_namespaces(docker: Docker, service: str) -> None:
    flags = [word for kind in ("network", "ipc", "uts", "pid") for word in (f"--{kind}", "host")]
    docker.run(*flags, "box", "true").ok()
    assert docker.run("--cgroupns", "private", "box", "cat", "/proc/self/cgroup").ok().out.endswith(":/\n")
    docker.run("--pid", f"container:{service}", "--network", f"container:{service}", "box", "ps").ok("trap")


def test_bridge_network(docker: Docker, name: str) -> None:
    """libnetwork gives the container its end of the bridge in a prestart hook."""
    docker("network", "create", "bridged").ok()
    words = ("--network", "bridged", "--name", name, "box", "httpd", "-f", "-h", "/etc")
    docker("run", "--detach", "--publish", "127.0.0.1:18080:80", *words).ok()
    docker.run("--network", "bridged", "box", "wget", "-qO-", f"http://{name}/passwd").ok("app:x:1000")
    fetch = ("busybox", "wget", "-qO-", "http://127.0.0.1:18080/group")
    wait_until(lambda: docker.island.run(*fetch).status == 0)
    docker.run("--network", "none", "box", "ip", "address").ok("LOOPBACK,UP")


def test_copy(docker: Docker, service: str) -> None:
    path = docker.island.directory / "copied"
    path.write_text("copied\n")
    docker("cp", str(path), f"{service}:/tmp/copied").ok()
    docker("exec", service, "cat", "/tmp/copied").ok("copied")
    docker("cp", f"{service}:/etc/group", str(path)).ok()
    assert "extra:x:2000" in path.read_text()


def test_commit(docker: Docker, name: str) -> None:
    docker("run", "--name", name, "box", "sh", "-c", "echo committed >/file").ok()
    docker("commit", name, "committed").ok()
    docker.run("committed", "cat", "/file").ok("committed")
    docker("diff", name).ok("A /file")


def test_runtime_arguments(docker: Docker) -> None:
    docker.run("--runtime", "debugging", "--network", "none", "box", "echo", "done").ok("done")


def test_health_check(docker: Docker, name: str) -> None:
    flags = ("--health-cmd", "test -e /tmp/well", "--health-interval", "200ms", "--health-retries", "2")
    docker("run", "--detach", "--name", name, *flags, "box", "sh", "-c", SERVICE).ok()
    wait_until(lambda: docker.inspect(name, "{{.State.Health.Status}}") == "unhealthy")
    docker("exec", name, "touch", "/tmp/well").ok()
    wait_until(lambda: docker.inspect(name, "{{.State.Health.Status}}") == "healthy")


def test_restart_policy(docker: Docker, name: str) -> None:
    docker("run", "--detach", "--name", name, "--restart", "on-failure:2", "box", "sh", "-c", "exit 1").ok()
    wait_until(lambda: docker.inspect(name, "{{.RestartCount}} {{.State.Status}}") == "2 exited")


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_build(docker: Docker, buildkit: str) -> None:
    context = docker.island.directory / f"context{buildkit}"
    context.mkdir()
    (context / "Dockerfile").write_text('FROM box\nRUN echo built >/file && id\nUSER app\nCMD ["cat", "/file"]\n')
    words = ("build", "--no-cache", "--network", "none", "--tag", f"built{buildkit}", str(context))
    progress = {"BUILDKIT_PROGRESS": "plain", "DOCKER_BUILDKIT": buildkit}
    docker(*words, variables=progress).ok("uid=0(root)")
    docker.run(f"built{buildkit}").ok("built")


def test_failing_build(docker: Docker) -> None:
    context = docker.island.directory / "failing"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM box\nRUN exit 6\n")
    result = docker("build", "--network", "none", str(context), variables={"DOCKER_BUILDKIT": "1"})
    assert result.status == 1, result
    assert "6" in result.out, result


def test_nothing_is_left(docker: Docker, name: str) -> None:
    docker("run", "--detach", "--name", name, "box", "true").ok()
    container = docker.inspect(name, "{{.Id}}")
    docker("rm", "--force", name).ok()
    search = ("find", "/run", "/sys/fs/cgroup", "-ignore_readdir_race", "-name", f"*{container}*")
    assert docker.island.run(*search).ok().text == ""
