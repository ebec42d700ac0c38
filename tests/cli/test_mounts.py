"""mounts, root, masked and read-only paths: what the container sees."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.bundle import in_user_namespace
from cli.limits import IS_V2
from cli.runtime import NAME, Runtime

if TYPE_CHECKING:
    from cli.bundle import Bundle


def mount(bundle: Bundle, destination: str, source: Path | str, *options: str, kind: str = "bind") -> None:
    bundle.mounts.append({"destination": destination, "type": kind, "source": str(source), "options": list(options)})


def flags_of(runtime: Runtime, bundle: Bundle, destination: str) -> set[str]:
    for line in runtime.script(bundle, "cat /proc/self/mountinfo").splitlines():
        fields = line.split()
        if fields[4] == destination:
            return set(fields[5].split(","))
    raise AssertionError(f"{destination} is not mounted")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "file").write_text("content\n")
    return directory


def test_bind_directory(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    mount(bundle, "/made/here", source, "bind")
    assert runtime.script(bundle, "cat /made/here/file; touch /made/here/new") == "content\n"
    assert (source / "new").exists()


def test_bind_file(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    mount(bundle, "/etc/made/file", source / "file", "bind", "ro")
    assert runtime.script(bundle, "cat /etc/made/file; ! echo x 2>/dev/null > /etc/made/file") == "content\n"


@pytest.mark.parametrize("options", [("bind", "ro"), ("rbind", "ro"), ("rbind", "rro"), ("bind", "rw", "ro")])
def test_read_only_bind(runtime: Runtime, bundle: Bundle, source: Path, options: tuple[str, ...]) -> None:
    mount(bundle, "/mnt", source, *options)
    assert "Read-only file system" in runtime.script(bundle, "touch /mnt/new 2>&1; true")


@pytest.mark.parametrize("word", ["nosuid", "nodev", "noexec", "ro", "noatime", "nodiratime", "relatime"])
def test_flag(runtime: Runtime, bundle: Bundle, source: Path, word: str) -> None:
    mount(bundle, "/mnt", source, "bind", word)
    assert word in flags_of(runtime, bundle, "/mnt")


def test_clearing_flags(runtime: Runtime, bundle: Bundle) -> None:
    mount(bundle, "/mnt", "tmpfs", "ro", "nosuid", "noexec", "rw", "suid", "exec", kind="tmpfs")
    assert not flags_of(runtime, bundle, "/mnt") & {"ro", "nosuid", "noexec"}


def test_recursive_bind(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    """rbind takes what is mounted below along, bind does not."""
    mount(bundle, "/one", "tmpfs", kind="tmpfs")
    mount(bundle, "/mnt", "/proc", "rbind", "ro")
    assert runtime.script(bundle, "test -e /mnt/self/status && echo yes") == "yes\n"


def test_tmpfs_data(runtime: Runtime, bundle: Bundle) -> None:
    mount(bundle, "/mnt", "tmpfs", "size=64k", "mode=700", "uid=7", kind="tmpfs")
    assert (
        runtime.script(bundle, "stat -c '%a %u' /mnt; df -k /mnt | tail -1 | tr -s ' ' | cut -d' ' -f2")
        == "700 7\n64\n"
    )


@pytest.mark.parametrize(("word", "optional"), [("private", ""), ("slave", "master:"), ("unbindable", "unbindable")])
def test_propagation(runtime: Runtime, bundle: Bundle, source: Path, word: str, optional: str) -> None:
    mount(bundle, "/mnt", source, "bind", word)
    lines = runtime.script(bundle, "cat /proc/self/mountinfo").splitlines()
    fields = next(line for line in lines if line.split()[4] == "/mnt").split(" - ")[0].split()[6:]
    assert "shared:" not in " ".join(fields)
    if word == "unbindable":
        assert fields == [optional]


def fill(directory: Path) -> None:
    (directory / "deep").mkdir(parents=True)
    (directory / "file").write_text("content\n")
    (directory / "deep/link").symlink_to("../file")
    (directory / "deep/file").write_text("below\n")
    os.chown(directory / "file", 7, 8)
    (directory / "file").chmod(0o4755)
    (directory / "deep").chmod(0o750)


def test_tmpcopyup(runtime: Runtime, bundle: Bundle) -> None:
    """podman --read-only and --tmpfs ask for it with every tmpfs."""
    fill(bundle.rootfs / "data")
    bundle.config["root"]["readonly"] = True
    mount(bundle, "/data", "tmpfs", "rw", "nosuid", "nodev", "tmpcopyup", kind="tmpfs")
    script = "cd /data; stat -c '%n %a %u %g' file deep; cat deep/link deep/file; echo x > new; rm -r deep; ls"
    assert runtime.script(bundle, script).split() == [
        *("file", "4755", "7", "8"), *("deep", "750", "0", "0"), "content", "below", "file", "new",
    ]  # fmt: skip
    assert (bundle.rootfs / "data/deep/file").read_text() == "below\n"
    assert not (bundle.rootfs / "data/new").exists()


def test_tmpcopyup_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    fill(bundle.rootfs / "data")
    in_user_namespace(bundle)
    os.chown(bundle.rootfs / "data/file", 101000, 100007)
    mount(bundle, "/data", "tmpfs", "tmpcopyup", kind="tmpfs")
    assert runtime.script(bundle, "stat -c '%n %u %g' /data/file /data/deep").split() == [
        *("/data/file", "1000", "7"), *("/data/deep", "0", "0"),
    ]  # fmt: skip


@pytest.mark.pyrunc_only("runc sets the limit after it has copied, and then cannot")
def test_tmpcopyup_is_paid_by_the_container(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "data").mkdir()
    (bundle.rootfs / "data/large").write_bytes(os.urandom(64 << 20))
    bundle.linux["resources"]["memory"] = {"limit": 32 << 20}
    mount(bundle, "/data", "tmpfs", "tmpcopyup", kind="tmpfs")
    runtime.run(bundle).failed("/data: tmpcopyup: the process that copies: ")


def test_order(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    mount(bundle, "/mnt", "tmpfs", kind="tmpfs")
    mount(bundle, "/mnt/inner", source, "bind")
    assert runtime.script(bundle, "cat /mnt/inner/file") == "content\n"


def test_relative_source_is_from_the_bundle(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.path / "data").mkdir()
    (bundle.path / "data/file").write_text("relative\n")
    mount(bundle, "/mnt", "data", "bind")
    assert runtime.script(bundle, "cat /mnt/file") == "relative\n"


def test_destination_by_symlink_stays_inside(runtime: Runtime, bundle: Bundle, source: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (bundle.rootfs / "link").symlink_to("/inside")
    (bundle.rootfs / "inside").mkdir()
    mount(bundle, "/link/deep", source, "bind")
    assert runtime.script(bundle, "cat /inside/deep/file") == "content\n"


def test_destination_behind_dangling_links(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    """/var/run -> /run, and the image has no /run: what is missing is made where the links lead."""
    (bundle.rootfs / "run").rmdir()
    (bundle.rootfs / "var/run").symlink_to("/run")
    (bundle.rootfs / "var/lock").symlink_to("../run/lock/deep")
    (bundle.rootfs / "last").symlink_to("/nowhere/yet")
    mount(bundle, "/var/run/secrets", source, "bind")
    mount(bundle, "/var/lock/file", source / "file", "bind")
    mount(bundle, "/last", "tmpfs", kind="tmpfs")
    bundle.linux["devices"] = [device("/var/lock/null")]
    script = "cat /run/secrets/file /run/lock/deep/file; stat -c %F /run/lock/deep/null; cat /proc/self/mountinfo"
    out = runtime.script(bundle, script)
    assert out.startswith("content\ncontent\ncharacter special file\n")
    assert " /nowhere/yet " in out


def test_a_file_over_a_dangling_link(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    """/etc/resolv.conf of Debian's and Ubuntu's images, over which every engine binds its own."""
    (bundle.rootfs / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    mount(bundle, "/etc/resolv.conf", source / "file", "rbind", "ro")
    assert runtime.script(bundle, "cat /etc/resolv.conf; [ -L /etc/resolv.conf ] && echo link") == "content\nlink\n"
    assert runtime.script(bundle, "cat /run/systemd/resolve/stub-resolv.conf") == "content\n"
    assert (bundle.rootfs / "etc/resolv.conf").is_symlink()


def test_dangling_link_in_a_user_namespace(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    (bundle.rootfs / "link").symlink_to("/missing")
    in_user_namespace(bundle)
    mount(bundle, "/link/deep", source, "rbind")
    assert runtime.script(bundle, "cat /missing/deep/file; stat -c %u /missing").split() == ["content", "0"]


def test_dangling_link_in_a_tmpfs(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    """Debian's /var/lock -> /run/lock, with a tmpfs on /run."""
    (bundle.rootfs / "var/lock").symlink_to("/run/lock")
    mount(bundle, "/run", "tmpfs", kind="tmpfs")
    mount(bundle, "/var/lock/deep", source, "bind")
    assert runtime.script(bundle, "cat /run/lock/deep/file") == "content\n"
    assert not (bundle.rootfs / "run/lock").exists()


@pytest.mark.parametrize("link", ["{outside}/new", "../../../../../../../../../../../../{outside}/new"])
def test_dangling_link_out_of_the_rootfs(
    runtime: Runtime, bundle: Bundle, source: Path, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.rootfs / "link").symlink_to(link.format(outside=outside))
    mount(bundle, "/link/deep", source, "bind")
    assert runtime.script(bundle, f"cat {outside}/new/deep/file") == "content\n"
    assert list(outside.iterdir()) == []


def test_dangling_link_into_proc(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    (bundle.rootfs / "link").symlink_to("/proc/nowhere")
    mount(bundle, "/link/deep", source, "bind")
    runtime.run(bundle).failed("inside /proc")


def test_links_in_a_circle(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    (bundle.rootfs / "one").symlink_to("two")
    (bundle.rootfs / "two").symlink_to("one")
    mount(bundle, "/one/deep", source, "bind")
    runtime.run(bundle).failed("too many l")


def test_hooks_run_once_behind_dangling_links(runtime: Runtime, bundle: Bundle, source: Path, tmp_path: Path) -> None:
    (bundle.rootfs / "link").symlink_to("/missing")
    mount(bundle, "/link/deep", source, "bind")
    for kind in ("createRuntime", "poststop"):
        hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo {kind} >> {tmp_path}/ran"]}
        bundle.config.setdefault("hooks", {})[kind] = [hook]
    runtime.script(bundle, "true")
    assert (tmp_path / "ran").read_text().split() == ["createRuntime", "poststop"]


@pytest.mark.pyrunc_only("runc ignores them in silence")
def test_what_is_ignored_is_said_for_who_looks_for_it(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    mount(bundle, "/mnt", source, "bind", "size=1k", "ro")
    bundle.shell("true")
    bundle.save()
    said = "mounts[5] /mnt: no effect here: size=1k"
    assert said in runtime("run", "-b", bundle.path, runtime.new_id(), before=("--debug",)).ok().err
    assert said not in runtime.run(bundle).ok().err


@pytest.mark.pyrunc_only("words of crun's")
@pytest.mark.parametrize("users", [False, True])
def test_links_as_sources(runtime: Runtime, bundle: Bundle, source: Path, users: bool) -> None:
    (source / "link").symlink_to("/etc/passwd")
    if users:
        in_user_namespace(bundle)
    mount(bundle, "/made", source / "link", "bind", "copy-symlink")
    mount(bundle, "/no-link", source / "file", "bind", "copy-symlink")
    mount(bundle, "/mounted", source / "link", "bind", "src-nofollow")
    mount(bundle, "/bin/true", source / "file", "bind", "dest-nofollow")
    script = "readlink /made; readlink /mounted; cat /no-link /bin/true; ! grep made /proc/self/mountinfo"
    assert runtime.script(bundle, script).split() == ["/etc/passwd", "/etc/passwd", "content", "content"]
    assert (bundle.rootfs / "bin/true").readlink() == Path("busybox")


@pytest.mark.pyrunc_only("words of crun's")
def test_copy_symlink_of_nothing(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    mount(bundle, "/made", source / "nope", "bind", "copy-symlink")
    runtime.run(bundle).failed("mounts[5].source: look at ")


def own(source: Path) -> None:
    """Files of several owners."""
    (source / "below").mkdir()
    for name, owner in (("file", 0), ("users", 1000), ("below/users", 1000)):
        (source / name).touch()
        os.chown(source / name, owner, owner)


SHOW_OWNERS = "stat -c '%u %g' /mnt/file /mnt/users"


@pytest.mark.pyrunc_only("runc has it since 1.2")
def test_id_mapped_mount(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    """Without a user namespace: uid 1000 of the file system is the container's root."""
    own(source)
    mount(bundle, "/mnt", source, "bind", "ro", "idmap")
    bundle.mounts[-1]["uidMappings"] = [{"containerID": 1000, "hostID": 0, "size": 1}]
    bundle.mounts[-1]["gidMappings"] = [{"containerID": 1000, "hostID": 7, "size": 1}]
    assert runtime.script(bundle, SHOW_OWNERS).split() == ["65534", "65534", "0", "7"]
    assert "ro" in flags_of(runtime, bundle, "/mnt")


@pytest.mark.pyrunc_only("runc has it since 1.2")
@pytest.mark.parametrize("options", [
    ("bind", "idmap"), ("rbind", "ridmap"), ("bind", "idmap=uids=@0-0-2000;gids=0-100000-2000"),
])  # fmt: skip
def test_id_mapped_mount_in_a_user_namespace(
    runtime: Runtime, bundle: Bundle, source: Path, options: tuple[str, ...]
) -> None:
    """What the host's root owns is the container root's."""
    own(source)
    in_user_namespace(bundle)
    mount(bundle, "/mnt", source, *options)
    assert runtime.script(bundle, f"{SHOW_OWNERS}; > /mnt/new").split() == ["0", "0", "1000", "1000"]
    assert (source / "new").stat().st_uid == 0


@pytest.mark.pyrunc_only("runc has it since 1.2")
def test_id_mapped_mount_with_a_joined_user_namespace(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    own(source)
    in_user_namespace(bundle)
    bundle.args("sleep", "100")
    other = runtime.state(runtime.run_detached(bundle))["pid"]
    bundle.namespace("user", f"/proc/{other}/ns/user")
    bundle.linux.pop("uidMappings")
    bundle.linux.pop("gidMappings")
    mount(bundle, "/mnt", source, "bind", "idmap")
    assert runtime.script(bundle, SHOW_OWNERS).split() == ["0", "0", "1000", "1000"]


@pytest.mark.pyrunc_only("runc has it since 1.2")
def test_id_mapped_mount_of_what_cannot(runtime: Runtime, bundle: Bundle) -> None:
    mount(bundle, "/mnt", "/proc", "bind", "idmap=uids=0-0-1;gids=0-0-1")
    runtime.run(bundle).failed("mounts[5] /mnt: map the ids of /proc: EINVAL")


@pytest.mark.parametrize("target", ["../../../../../../../{outside}", "/{outside}"])
def test_symlink_out_of_the_rootfs(runtime: Runtime, bundle: Bundle, source: Path, tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.rootfs / "link").symlink_to(target.format(outside=str(outside).lstrip("/")))
    mount(bundle, "/link/deep", source, "bind")
    bundle.save()
    runtime("run", "-b", bundle.path, runtime.new_id())
    assert list(outside.iterdir()) == []


def test_missing_source(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    mount(bundle, "/mnt", tmp_path / "nope", "bind")
    result = runtime.run(bundle).failed("no such file or directory")
    assert f"{NAME} run failed: " in result.err


def test_unknown_type(runtime: Runtime, bundle: Bundle) -> None:
    mount(bundle, "/mnt", "nosuchfs", kind="nosuchfs")
    runtime.run(bundle).failed("nosuchfs")


def test_file_over_directory(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    mount(bundle, "/etc", source / "file", "bind")
    runtime.run(bundle).failed("/etc")


def test_proc_is_a_symlink(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "proc").symlink_to("/tmp")
    runtime.run(bundle).failed("must be mounted on ordinary directory")


def test_nothing_is_mounted_over_proc(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    mount(bundle, "/proc/sys", source, "bind")
    runtime.run(bundle).failed("/proc/sys")


def test_host_sees_no_mounts(runtime: Runtime, bundle: Bundle) -> None:
    bundle.args("sleep", "100")
    before = Path("/proc/self/mountinfo").read_text()
    runtime.run_detached(bundle)
    assert Path("/proc/self/mountinfo").read_text() == before


def test_old_root_is_gone(runtime: Runtime, bundle: Bundle) -> None:
    out = runtime.script(bundle, "cut -d' ' -f5 /proc/self/mountinfo")
    assert out.splitlines().count("/") == 1
    assert str(bundle.path) not in out


def test_no_pivot(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("ls /bin/busybox; cat /proc/self/mounts | wc -l")
    assert runtime.run(bundle, "--no-pivot").ok().lines[0] == "/bin/busybox"


def test_readonly_root(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["root"]["readonly"] = True
    assert "Read-only file system" in runtime.script(bundle, "touch /new 2>&1; touch /dev/shm/new && echo fine")
    assert "ro" in flags_of(runtime, bundle, "/")


def test_masked_paths(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "secret").mkdir()
    (bundle.rootfs / "secret/file").write_text("secret")
    (bundle.rootfs / "secretfile").write_text("secret")
    bundle.linux["maskedPaths"] = ["/secret", "/secretfile", "/proc/kcore", "/nope", "/proc/sys/nope"]
    script = (
        "ls /secret; cat /secretfile; ! touch /secret/x 2>/dev/null; head -c1 /proc/kcore; stat -c %t:%T /secretfile"
    )
    assert runtime.script(bundle, script) == "1:3\n"


def test_readonly_paths(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "fixed").mkdir()
    (bundle.rootfs / "fixed/file").write_text("old\n")
    bundle.linux["readonlyPaths"] = ["/fixed", "/proc/sys", "/nope"]
    script = (
        "exec 2>/dev/null; echo new > /fixed/file; cat /fixed/file; echo 1 > /proc/sys/kernel/domainname || echo no"
    )
    assert runtime.script(bundle, script) == "old\nno\n"


def test_default_devices(runtime: Runtime, bundle: Bundle) -> None:
    names = {"null": "1:3", "zero": "1:5", "full": "1:7", "random": "1:8", "urandom": "1:9", "tty": "5:0"}
    script = "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a %u' /dev/$d; done"
    assert runtime.script(bundle, script).splitlines() == [
        f"/dev/{name} {numbers} 666 0" for name, numbers in names.items()
    ]


def test_default_links(runtime: Runtime, bundle: Bundle) -> None:
    script = "for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done"
    assert runtime.script(bundle, script).split() == [
        "/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx",
    ]  # fmt: skip


def test_devices_work(runtime: Runtime, bundle: Bundle) -> None:
    script = "head -c 3 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c; echo x > /dev/null; cat /dev/null"
    assert runtime.script(bundle, script).split() == ["00", "00", "00", "4"]
    assert "No space left" in runtime.script(bundle, "head -c 3 /dev/zero 2>&1 > /dev/full; true")


def device(path: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "type": "c", "major": 1, "minor": 3, "fileMode": 0o620, "uid": 3, "gid": 4} | more


def test_devices(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [
        device("/dev/mine"),
        device("/dev/deep/pipe", type="p", major=0, minor=0),
        device("/dev/block", type="b", major=7, minor=200),
        device("/elsewhere", type="u", major=1, minor=5, fileMode=0o600),
    ]
    script = "stat -c '%n %F %t:%T %a %u %g' /dev/mine /dev/deep/pipe /dev/block /elsewhere"
    assert runtime.script(bundle, script, umask=0o077).splitlines() == [
        "/dev/mine character special file 1:3 620 3 4",
        "/dev/deep/pipe fifo 0:0 620 3 4",
        "/dev/block block special file 7:c8 620 3 4",
        "/elsewhere character special file 1:5 600 3 4",
    ]


def test_device_rules(runtime: Runtime, bundle: Bundle) -> None:
    """Everything is denied but the standard list and what is allowed."""
    bundle.linux["devices"] = [device("/dev/kmsg2", major=1, minor=11), device("/dev/null2")]
    bundle.linux["resources"]["devices"] += [{"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rwm"}]
    script = "head -c1 /dev/kmsg2 2>/dev/null || echo no; echo x > /dev/null2 && echo yes"
    assert runtime.script(bundle, script) == "no\nyes\n"


def test_mknod_is_governed_by_the_rules(runtime: Runtime, bundle: Bundle) -> None:
    assert "not permitted" in runtime.script(bundle, "mknod /tmp/x b 8 0 2>&1; head -c1 /tmp/x 2>&1; true")


def test_cgroup_mount(runtime: Runtime, bundle: Bundle) -> None:
    mount(bundle, "/sys/fs/cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro", kind="cgroup")
    where = "." if IS_V2 else "pids"
    out = runtime.script(bundle, f"cd /sys/fs/cgroup; ls; cat {where}/cgroup.procs; touch {where}/x 2>&1 || true")
    assert ("cgroup.procs" if IS_V2 else "pids") in out.split()
    assert "1" in out.split()
    assert "Read-only" in out


def test_sharing_with_the_host(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """/dev/shm of the host by bind mount, as `docker run --ipc host` asks."""
    bundle.mounts[3] = {"destination": "/dev/shm", "type": "bind", "source": str(tmp_path), "options": ["rbind", "rw"]}
    runtime.script(bundle, "echo x > /dev/shm/from-inside")
    assert (tmp_path / "from-inside").read_text() == "x\n"
    assert os.stat(tmp_path / "from-inside").st_uid == 0
