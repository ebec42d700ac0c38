"""Attacks of an image, of a volume's content and of a process, each a function of (runtime, bundle, canaries).

What a function returns are findings seen from inside; what changed outside the canaries say themselves.
"""

from __future__ import annotations

import os
import shutil
import socket
from typing import TYPE_CHECKING

from cli.bundle import in_user_namespace
from security.canaries import SECRET, Canaries
from security.contenders import HUNG, Contender

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.bundle import Bundle

    Attack = Callable[[Contender, Bundle, Canaries], list[str]]


def put_link(path: Path, text: str) -> None:
    if not path.is_symlink() and path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(text)


def without_dev(bundle: Bundle) -> None:
    """/dev is the image's own directory."""
    bundle.config["mounts"] = [m for m in bundle.mounts if not m["destination"].startswith("/dev")]


def without_tmpfs(bundle: Bundle) -> None:
    """/dev is the image's own, with a devpts for terminals."""
    bundle.config["mounts"] = [m for m in bundle.mounts if m["destination"] not in ("/dev", "/dev/shm")]


def volume(bundle: Bundle, canaries: Canaries, destination: str, name: str = "sub") -> None:
    """A directory or file of the tmpfs, mounted: what the container may change there."""
    bundle.mounts.append(
        {"destination": destination, "type": "bind", "source": str(canaries.top / name), "options": ["bind"]}
    )


def in_terminal(runtime: Contender, bundle: Bundle) -> None:
    """create with a console socket that takes the connection and nothing more, and start."""
    bundle.process["terminal"] = True
    bundle.save()
    path = bundle.path / "console"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        container_id = runtime.new_id()
        runtime("create", "--bundle", bundle.path, "--console-socket", path, container_id)
        runtime("start", container_id)
        runtime.clean_up()
    bundle.process["terminal"] = False


def every_way(runtime: Contender, bundle: Bundle) -> list[int]:
    """run, with a read-only root too, and create with a terminal: how many mounts each that came up has."""
    counts = []
    for readonly in (False, True):
        bundle.config["root"]["readonly"] = readonly
        bundle.shell("test -e /proc/self/mountinfo && grep -c . /proc/self/mountinfo || echo 0")
        result = runtime.attempt(bundle)
        if result.status == 0:
            counts.append(int(result.out))
    bundle.config["root"]["readonly"] = False
    in_terminal(runtime, bundle)
    return counts


def image_link(place: str, targets: str, change: Callable[[Bundle], None] | None = None) -> Attack:
    """A link of the image, in every form and tried in every way.  A mount that is not inside must be outside."""

    def attack(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
        if change is not None:
            change(bundle)
        (bundle.rootfs / place).mkdir(parents=True, exist_ok=True)
        expected = min(every_way(runtime, bundle), default=0)
        found = []
        for text in [text for target in targets.split() for text in canaries.forms(target)]:
            put_link(bundle.rootfs / place, text)
            if min(every_way(runtime, bundle), default=expected) < expected:
                found.append(f"{place} -> {text}: a mount is not inside")
            if found or canaries.damage():
                break
        return found

    return attack


def mounted_at(*destinations: str) -> Callable[[Bundle], None]:
    """Mounts whose targets lie there, a tmpfs and a file."""

    def change(bundle: Bundle) -> None:
        for destination in destinations:
            bundle.mounts.append({"destination": f"{destination}/made/deep", "type": "tmpfs", "source": "tmpfs"})
            bundle.mounts.append(
                {"destination": f"{destination}/hosts", "type": "bind", "source": "/etc/hosts", "options": ["bind"]}
            )

    return change


def masks_land_elsewhere(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """/proc of the image leads to another directory of the image: is anything of the real /proc left unmasked?"""
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "other").mkdir()
    (bundle.rootfs / "proc").symlink_to("other")
    bundle.shell("head -c 16 /proc/keys | wc -c; echo came up")
    result = runtime.attempt(bundle)
    return [f"came up with /proc a link: {result.out.split()}"] if "came up" in result.out else []


def null_of_the_image(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """/dev/null of the image leads to a file of the host, which masking binds where the container may write."""
    without_dev(bundle)
    bundle.linux["maskedPaths"] = ["/masked"]
    (bundle.rootfs / "masked").write_text("masked\n")
    found = []
    for text in canaries.forms("core_pattern"):
        put_link(bundle.rootfs / "dev/null", text.rstrip("/"))
        bundle.shell("cat /masked; echo pwned >/masked")
        if SECRET in runtime.attempt(bundle).out:
            found.append("read the host's file")
    return found


def null_swapped_late(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """The same with a hook in the container's place: the link appears after the devices were made and checked."""
    without_dev(bundle)
    bundle.linux["maskedPaths"] = ["/masked"]
    (bundle.rootfs / "masked").write_text("masked\n")
    null, volume_path = bundle.rootfs / "dev/null", canaries.top / "core_pattern"
    script = f"rm {null}; ln -s {volume_path} {null}"
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    volume(bundle, canaries, str(volume_path), "core_pattern")
    bundle.shell("cat /masked; echo pwned >/masked")
    found = SECRET in runtime.attempt(bundle).out
    return ["the container's own volume covered a masked file"] if found else []


def stdio_given_away(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """stdio is pipes, /dev/null a link to a file of the host that is mounted: whose owner changes?"""
    without_dev(bundle)
    volume(bundle, canaries, "/victim", "file")
    put_link(bundle.rootfs / "dev/null", "/victim")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    runtime.attempt(bundle, input=b"")
    return []


def copied_into(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """The working directory does not exist, and the way to it leads out."""
    for text in canaries.forms("sub"):
        put_link(bundle.rootfs / "way", text)
        bundle.process["cwd"] = "/way/made/for/me"
        runtime.attempt(bundle)
    return []


def leaked_directory(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """cwd is /proc/self/fd/N: of what the caller leaked, or the runtime itself."""
    found = []
    leaked = os.open(canaries.top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for number in [*range(3, 12), leaked]:
            bundle.process["cwd"] = f"/proc/self/fd/{number}"
            bundle.shell("ls -d ../../../../../../../../bin/python3 ../../../usr/bin/python3; cat file")
            result = runtime.attempt(bundle, pass_fds=(leaked,))
            if "python3\n" in result.out or SECRET in result.out:
                found.append(f"descriptor {number} led to the host")
        bundle.process["cwd"] = "/"
        bundle.shell(f"for n in /proc/self/fd/*; do cat $n/file; done; cat /proc/self/fd/{leaked}/file")
        if SECRET in runtime.attempt(bundle, pass_fds=(leaked,)).out:
            found.append("a directory of the caller's was open inside")
    finally:
        os.close(leaked)
    return found


def numeric_user_names(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """passwd has a root called 1000, and group too."""
    (bundle.rootfs / "etc/passwd").write_text("1000:x:0:0::/root:/bin/sh\n")
    (bundle.rootfs / "etc/group").write_text("1000:x:0:\n")
    bundle.args("sleep", "100")
    bundle.save()
    container_id = runtime.new_id()
    runtime("run", "-d", "--bundle", bundle.path, container_id)
    found = []
    for user in ("1000", "1000:1000"):
        out = runtime("exec", "--user", user, container_id, "id", "-u").out.strip()
        if out != "1000":
            found.append(f"exec --user {user} was uid {out}")
    runtime.clean_up()
    return found


def odd_users(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """Words for exec --user that are no ids must not become root; a uid alone must not be forgotten."""
    bundle.args("sleep", "100")
    bundle.save()
    container_id = runtime.new_id()
    runtime("run", "-d", "--bundle", bundle.path, container_id)
    found = []
    for user in ("1", "1:", ":5", "+1", "01x", "1e3", "-1", "4294967295", "4294967296", " 1", "1_0", "٣", "root"):
        result = runtime("exec", "--user", user, container_id, "id", "-u")
        if result.status == 0 and result.out.strip() == "0":
            found.append(f"exec --user {user!r} was root")
    runtime.clean_up()
    return found


def overflowing_ids(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    found = []
    bundle.args("id", "-u")
    for uid in (4294967295, 4294967296, -1, 1 << 64, "0", 1.5):
        bundle.process["user"] = {"uid": uid, "gid": 0}
        result = runtime.attempt(bundle)
        if result.status == 0:
            found.append(f"uid {uid!r} was {result.out.strip()}")
    return found


def inheritable_capabilities(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """CapInh of init, and of an exec that asks for one more."""
    bundle.args("sleep", "100")
    bundle.save()
    container_id = runtime.new_id()
    runtime("run", "-d", "--bundle", bundle.path, container_id)
    found = []
    for words in ((), ("--cap", "CAP_NET_RAW")):
        out = runtime("exec", *words, container_id, "grep", "CapInh", "/proc/self/status").out
        if out.split()[1:] != ["0" * 16]:
            found.append(f"exec {' '.join(words)}: {out.strip()}")
    runtime.clean_up()
    return found


def hostile_passwd(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """A fifo, an endless file, a device: does anybody wait for it, or read it to the end?"""
    path = bundle.rootfs / "etc/passwd"
    bundle.args("true")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    found = []
    for kind in ("fifo", "endless", "NUL", "link"):
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to("/dev/zero")
        elif kind == "NUL":
            path.write_bytes(b"root:\0\n" * 10_000 + b"\xff" * 500_000)
        else:
            with open(path, "wb") as file:
                file.truncate(1 << 40)
        if runtime.attempt(bundle).status == HUNG:
            found.append(f"hung on a passwd that is a {kind}")
    return found


def cgroup_of_a_sibling(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """exec --cgroup with a path whose text begins like the container's own."""
    bundle.args("sleep", "100")
    own = f"clitest-{os.getpid()}-web1"
    bundle.linux["cgroupsPath"] = f"/{own}"
    sibling = f"/sys/fs/cgroup/pids/{own}0"
    os.mkdir(sibling)
    try:
        bundle.save()
        container_id = runtime.new_id()
        runtime("run", "-d", "--bundle", bundle.path, container_id)
        out = runtime("exec", "--cgroup", f"pids:/../{own}0", container_id, "cat", "/proc/self/cgroup").out
        runtime.clean_up()
    finally:
        os.rmdir(sibling)
    return ["exec went to a sibling's cgroup"] if f"{own}0" in out else []


def huge_page_path(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """A page size that is a way to another file of the cgroup tree, or out of it."""
    found = []
    for size in ("../pids/x", f"/../../../../{canaries.top}/file", "2MB/../x"):
        bundle.linux["resources"]["hugepageLimits"] = [{"pageSize": size, "limit": 1}]
        if runtime.attempt(bundle).status == 0:
            found.append(f"pageSize {size!r} was taken")
    return found


def container_names(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """Names that are no file names, or more than one."""
    bundle.save()
    (bundle.path.parent / "state").mkdir(exist_ok=True)
    names = ("../escaped", "a/b", "..", ".", "a\nb", "-\u00e4", "x" * 1025, "a b", "")
    return [f"{name!r} was taken" for name in names if runtime("run", "--bundle", bundle.path, name).status == 0]


def long_fields(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """70,000 bytes where a 16-bit length once wrapped: an error or all of it, never something else."""
    found = []
    bundle.config["process"]["env"].append("LONG=" + "x" * 70_000)
    bundle.shell("echo ${#LONG}; id -u")
    result = runtime.attempt(bundle)
    if result.status == 0 and result.out.split() != ["70000", "0"]:
        found.append(f"env: {result.out}")
    bundle.process["env"].pop()
    bundle.args("id", "-G")
    bundle.process["user"]["additionalGids"] = list(range(1, 60_001))
    result = runtime.attempt(bundle)
    if result.status == 0 and len(set(result.out.split())) != 60_001:
        found.append("additionalGids: some are lost")
    bundle.process["user"].pop("additionalGids")
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}] * 5000
    bundle.namespace("user")
    if runtime.attempt(bundle).status == 0:
        found.append("5000 equal id maps were taken")
    return found


def documents(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """config.json that is none: nested too deep, NaN, NUL, a lone surrogate, the same key twice."""
    found = []
    bundle.save()
    path = bundle.path / "config.json"
    good = path.read_text()
    for name, text in {
        "deep": "[" * 100_000 + "]" * 100_000,
        "NaN": good.replace('"uid": 0', '"uid": NaN'),
        "NUL in a path": good.replace('"hostname": "box"', '"hostname": "b\\u0000x"'),
        "nothing": "",
    }.items():
        path.write_text(text)
        if runtime("run", "--bundle", bundle.path, runtime.new_id()).status != 1:
            found.append(f"a document with {name}")
    return found


def devices_by_default(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """No word about devices in resources, and CAP_MKNOD: may a disk's node be made and opened?"""
    bundle.linux["resources"] = {}
    bundle.shell("mknod /tmp/disk b 7 0 && head -c 1 /tmp/disk; mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg | wc -c")
    result = runtime.attempt(bundle)
    refused = result.err.count("peration not permitted")
    return [] if refused >= 2 else [f"a device could be opened: {result.err.split()}"]


def devices_by_default_v2(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """The same on a host with version 2 alone, where a cgroup without a program allows everything."""
    command = runtime.command
    script = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    runtime.command = ["unshare", "--mount", "sh", "-c", script, "sh", *command]
    try:
        return devices_by_default(runtime, bundle, canaries)
    finally:
        runtime.command = command


def readonly_root(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """A read-only root without a procfs, whose image brings a /proc/self/fd of its own."""
    bundle.config["mounts"] = [m for m in bundle.mounts if m["destination"] == "/dev"]
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.config["root"]["readonly"] = True
    for name in ("self", "thread-self", "1"):
        directory = bundle.rootfs / "proc" / name / "fd"
        directory.mkdir(parents=True)
        for number in range(3, 200):
            (directory / str(number)).symlink_to("/work")
    bundle.shell("touch /written && echo wrote; true")
    return ["wrote to a read-only root"] if "wrote" in runtime.attempt(bundle).out else []


def environment_of_hooks(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """The image's environment has LD_PRELOAD; what do hooks of the host see?"""
    out = bundle.path / "seen"
    bundle.process["env"] += ["LD_PRELOAD=/evil.so", "PYTHONPATH=/evil"]
    script = f"cat /proc/self/environ >>{out}; echo ran >>{out}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    bundle.config["hooks"] = {"prestart": [hook], "createRuntime": [hook], "poststart": [hook], "poststop": [hook]}
    bundle.args("true")
    container_id = runtime.create(bundle)
    runtime("start", container_id)
    runtime.clean_up()
    seen = out.read_bytes()
    return [] if b"evil" not in seen and b"ran" in seen else [f"hooks saw {seen!r}"]


def sockets_of_the_runtime(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """Abstract sockets while a container waits and runs: whoever shares the network namespace could reach them."""
    bundle.args("sleep", "100")
    before = abstract_sockets()
    container_id = runtime.create(bundle)
    found = abstract_sockets() - before
    runtime("start", container_id)
    found |= abstract_sockets() - before
    runtime.clean_up()
    return sorted(found)


def modes_of_state(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """Who may look into the state of a container, or change it."""
    bundle.args("sleep", "100")
    runtime.create(bundle)
    found = []
    for path in [runtime.state_root, *runtime.state_root.rglob("*")]:
        mode = path.lstat().st_mode & 0o777
        if path.is_symlink():  # its mode means nothing: symlink(7)
            continue
        if mode & (0o066 if path.is_dir() else 0o077) and path.name != "exec.fifo":
            found.append(f"{path.name} has mode {mode:o}")
    runtime.clean_up()
    return found


def abstract_sockets() -> set[str]:
    with open("/proc/net/unix") as table:
        return {line.split()[7] for line in table if len(line.split()) > 7 and line.split()[7].startswith("@")}


def cgroups_of_a_user(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """A user namespace and the host's cgroup namespace: may the container write to cgroups that are not its own?"""
    in_user_namespace(bundle, 0, 65536)
    bundle.mounts.append(
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": ["nosuid", "noexec", "nodev", "ro"],
        }
    )
    bundle.shell("for d in /sys/fs/cgroup/*; do mkdir $d/made 2>/dev/null && echo made $d && rmdir $d/made; done; true")
    result = runtime.attempt(bundle)
    return [line for line in result.out.splitlines() if "made" in line]


def sysctl_on_a_volume(runtime: Contender, bundle: Bundle, canaries: Canaries) -> list[str]:
    """A volume on /proc/sys/net whose ip_forward leads to a file of the host."""
    (canaries.top / "proc/sys/ipv4").mkdir()
    (canaries.top / "proc/sys/ipv4/ip_forward").symlink_to(canaries.top / "core_pattern")
    canaries.accept()
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    volume(bundle, canaries, "/proc/sys/net", "proc/sys")
    runtime.attempt(bundle)
    bundle.mounts.pop()
    put_link(bundle.rootfs / "net", "/proc/sys/net")
    volume(bundle, canaries, "/net", "proc/sys")
    runtime.attempt(bundle)
    return []


def sysctl_of_the_host(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """Keys that no namespace has, in every spelling."""
    found = []
    bundle.args("true")
    for key in (
        "kernel.core_pattern",
        "kernel/core_pattern",
        "net/../kernel/core_pattern",
        "net.ipv4.+evil",
        "vm.swappiness",
    ):
        bundle.linux["sysctl"] = {key: "|/evil"}
        if runtime.attempt(bundle).status == 0:
            found.append(f"{key} was taken")
    return found


def propagation_of_the_host(runtime: Contender, bundle: Bundle, _canaries: Canaries) -> list[str]:
    """Without a mount namespace nothing of the host's mounts may change; the canaries look."""
    bundle.without_namespace("mount")
    bundle.config["mounts"] = []
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.args("true")
    runtime.attempt(bundle)
    return []
