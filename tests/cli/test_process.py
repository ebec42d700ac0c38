"""process: environment, directory, user, limits, capabilities, no_new_privs, oom score."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.bundle import CAPABILITIES, Bundle

if TYPE_CHECKING:
    from cli.runtime import Runtime

CAPABILITY_NUMBERS = {"CAP_CHOWN": 0, "CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_RAW": 13}


def status(runtime: Runtime, bundle: Bundle, *names: str) -> dict[str, str]:
    lines = runtime.script(bundle, "cat /proc/self/status").splitlines()
    rows = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    return {name: rows[name] for name in names}


def environment(runtime: Runtime, bundle: Bundle) -> list[str]:
    bundle.args("cat", "/proc/self/environ")
    return [entry for entry in runtime.run(bundle).ok().out.split("\0") if entry]


def test_env(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["env"] = ["PATH=/bin", "A=1", "B=two words", "EMPTY=", "Ü=ö", "HOME=/elsewhere"]
    assert environment(runtime, bundle) == bundle.process["env"]


@pytest.mark.parametrize(("uid", "home"), [(0, "/root"), (1000, "/home/user"), (4321, "/")])
def test_home_is_from_the_containers_passwd(runtime: Runtime, bundle: Bundle, uid: int, home: str) -> None:
    bundle.process["user"] = {"uid": uid, "gid": 0}
    assert f"HOME={home}" in environment(runtime, bundle)


def test_home_without_passwd(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "etc/passwd").unlink()
    assert "HOME=/" in environment(runtime, bundle)


@pytest.mark.pyrunc_only("runc 1.1 refuses the container")
def test_endless_line_in_passwd(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "etc/passwd").write_text("x" * 100_000 + "\nroot:x:0:0::/late:/bin/sh\n")
    assert [entry for entry in environment(runtime, bundle) if entry.startswith("HOME=/")]


@pytest.mark.pyrunc_only("runc 1.1 follows it")
def test_passwd_that_is_no_file(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "etc/passwd").unlink()
    (bundle.rootfs / "etc/passwd").symlink_to("/dev/zero")
    assert "HOME=/" in environment(runtime, bundle)


def test_cwd(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["cwd"] = "/home/user"
    assert runtime.script(bundle, "pwd") == "/home/user\n"


def test_cwd_is_made(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["cwd"] = "/made/deep/down"
    assert runtime.script(bundle, "pwd") == "/made/deep/down\n"
    assert (bundle.rootfs / "made/deep/down").is_dir()


def test_cwd_by_symlink_stays_inside(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "link").symlink_to("/etc")
    bundle.process["cwd"] = "/link"
    assert runtime.script(bundle, "pwd -P; ls passwd") == "/etc\npasswd\n"


def test_cwd_of_a_user(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["cwd"] = "/home/user"
    assert runtime.script(bundle, "pwd && touch mine && stat -c %u mine") == "/home/user\n1000\n"


def test_user(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 2000]}
    found = status(runtime, bundle, "Uid", "Gid", "Groups")
    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["1001"] * 4
    assert sorted(found["Groups"].split()) == ["2000", "5"]


def test_no_groups_are_inherited(runtime: Runtime, bundle: Bundle) -> None:
    groups = {"extra_groups": [7, 8]}
    bundle.shell("grep Groups /proc/self/status")
    assert runtime.run(bundle, **groups).ok().out.split()[1:] == []


def test_umask(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.script(bundle, "umask", umask=0o077) == "0022\n"
    bundle.process["user"]["umask"] = 0o027
    assert runtime.script(bundle, "umask", umask=0o077) == "0027\n"


def test_rlimits(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 300, "hard": 400},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_STACK", "soft": 4194304, "hard": 8388608},
    ]
    text = runtime.script(bundle, "cat /proc/self/limits")
    rows = {line[:25].strip(): line[25:].split()[:2] for line in text.splitlines()[1:]}
    assert rows["Max open files"] == ["300", "400"]
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max stack size"] == ["4194304", "8388608"]


def mask(*names: str) -> int:
    return sum(1 << CAPABILITY_NUMBERS[name] for name in names)


def test_capabilities(runtime: Runtime, bundle: Bundle) -> None:
    both = ["CAP_CHOWN", "CAP_KILL"]
    bundle.process["capabilities"] = {
        "bounding": [*both, "CAP_NET_RAW"],
        "permitted": both,
        "effective": ["CAP_KILL"],
        "inheritable": [],
    }
    bundle.args("cat", "/proc/self/status")
    rows = dict(line.split(":\t") for line in runtime.run(bundle).ok().lines if line.startswith("Cap"))
    # root's execve makes all of permitted effective, and no_new_privs lets it gain nothing (capabilities(7))
    assert int(rows["CapBnd"], 16) == mask(*both, "CAP_NET_RAW")
    assert int(rows["CapInh"], 16) == int(rows["CapAmb"], 16) == 0
    assert int(rows["CapPrm"], 16) == int(rows["CapEff"], 16) == mask(*both)


def test_ambient_capabilities(runtime: Runtime, bundle: Bundle) -> None:
    names = ["CAP_CHOWN", "CAP_KILL"]
    kinds = ("bounding", "permitted", "effective", "inheritable", "ambient")
    bundle.process["capabilities"] = dict.fromkeys(kinds, names)
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    found = status(runtime, bundle, "CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb")
    assert {int(value, 16) for value in found.values()} == {mask(*names)}


def test_no_capabilities(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["capabilities"] = {}
    found = status(runtime, bundle, "CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb")
    assert {int(value, 16) for value in found.values()} == {0}


def test_user_without_capabilities(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    found = status(runtime, bundle, "CapPrm", "CapEff", "CapAmb", "CapBnd")
    assert int(found["CapPrm"], 16) == int(found["CapEff"], 16) == int(found["CapAmb"], 16) == 0
    assert int(found["CapBnd"], 16).bit_count() == len(CAPABILITIES)


def test_unknown_capability_is_ignored(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["capabilities"]["bounding"] = [*CAPABILITIES, "CAP_FOO"]
    bundle.save()
    result = runtime("run", "-b", bundle.path, runtime.new_id())
    assert result.status == 0
    assert "CAP_FOO" in result.err


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges(runtime: Runtime, bundle: Bundle, wanted: bool) -> None:
    bundle.process["noNewPrivileges"] = wanted
    assert status(runtime, bundle, "NoNewPrivs") == {"NoNewPrivs": str(int(wanted))}


def test_oom_score_adj(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["oomScoreAdj"] = 321
    assert runtime.script(bundle, "cat /proc/self/oom_score_adj") == "321\n"


def test_oom_score_adj_is_inherited(runtime: Runtime, bundle: Bundle) -> None:
    own = Path("/proc/self/oom_score_adj").read_text()
    assert runtime.script(bundle, "cat /proc/self/oom_score_adj") == own


def test_signals_are_reset(runtime: Runtime, bundle: Bundle) -> None:
    """podman's restart calls create with SIGUSR1 blocked; pipes break SIGPIPE in Python's children."""
    bundle.args("grep", "Sig[BI]", "/proc/self/status")
    assert {int(line.split()[1], 16) for line in runtime.run(bundle).ok().lines} == {0}


@pytest.mark.pyrunc_only("runc 1.1 hands them on")
def test_signals_blocked_by_the_caller(runtime: Runtime, bundle: Bundle) -> None:
    import signal

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])

    bundle.shell("grep SigBlk /proc/self/status")
    result = runtime.run(bundle, preexec_fn=block).ok()
    assert int(result.out.split()[1], 16) == 0


def test_own_session(runtime: Runtime, bundle: Bundle) -> None:
    fields = runtime.script(bundle, "cat /proc/1/stat").rsplit(")", 1)[1].split()
    assert fields[2:4] == ["1", "1"]  # process group, session (proc(5))


def test_personality(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["personality"] = {"domain": "LINUX32"}
    bundle.linux.pop("maskedPaths")
    bundle.args("uname", "-m")
    result = runtime.run(bundle)
    # runc 1.1 does not know it, and ignores it
    assert (result.status, result.out.strip() in ("i686", "x86_64", "armv8l", "aarch64")) == (0, True)


def test_first_process_is_the_users(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.script(bundle, "echo $$ $(readlink /proc/1/exe)") == "1 /bin/busybox\n"
    assert runtime.script(bundle, "cat /proc/1/cmdline; true").startswith("sh\0-c\0cat ")
