"""What a machine has, for `validate`: values, read once.  host_checks holds a config against them."""

from __future__ import annotations

import posix
from errno import EACCES, EINVAL, ELOOP, ENOENT, ENOTDIR

from ocispec.record import Record
from pyrunc.cgroups.layout import read_page_sizes
from pyrunc.cgroups.resctrl import mount_point
from pyrunc.errors import Unsupported
from pyrunc.kernel.beneath import open_in_root
from pyrunc.kernel.constants import O_PATH, S_IFDIR, S_IFMT, S_IFREG, S_IFSOCK
from pyrunc.kernel.files import exists, open_directory, read_file
from pyrunc.namespaces.users import map_program
from pyrunc.process.executable import candidates
from pyrunc.process.host import read_host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocispec.config import Config, Mount, Process
    from pyrunc.kernel.host import Host

MISSING = ""
HIDDEN = "hidden"  # we may not look: others may
_ABSENT = (ENOENT, ENOTDIR, ELOOP)
_KINDS = {S_IFDIR: "directory", S_IFREG: "file", S_IFSOCK: "socket"}
_HOST_HOOKS = ("prestart", "create_runtime", "create_container", "poststart", "poststop")


class Facts(Record):
    """`paths`: for every path of the host's that the config names "" (it is missing), directory, file, program, socket,
    other or hidden.  `program`: whether the rootfs has process.args[0]; None: nobody knows."""

    host: Host
    bundle: str = ""
    kernel: tuple[int, int] = (6, 0)
    namespaces: frozenset[str] = frozenset()  # names in /proc/self/ns
    user_namespaces: int = 1  # how many may be made
    filesystems: frozenset[str] = frozenset()
    has_modules: bool = False  # then a file system may still come
    capabilities: int = 0  # effective, a bit each
    resctrl: bool = False
    network_devices: frozenset[str] = frozenset()
    page_sizes: tuple[str, ...] = ()
    memory_nodes: str = "0"  # lists as in cpuset(7)
    cpus: str = "0"
    seccomp_actions: frozenset[str] = frozenset()
    has_map_programs: bool = False
    oom_score_adj: int = 0
    hard_limits: dict[str, int] = {}
    paths: dict[str, str] = {}
    program: bool | None = None


def read_facts(config: Config, bundle: str) -> Facts:
    """`bundle` "" when only a file is looked at: then nothing is said of its rootfs."""
    release = posix.uname().release.split(".")
    return Facts(
        host=read_host(),
        bundle=bundle,
        kernel=(int(release[0]), int(release[1].partition("-")[0])),
        namespaces=frozenset(posix.listdir("/proc/self/ns")),
        user_namespaces=int(_text("/proc/sys/user/max_user_namespaces") or "0"),
        filesystems=frozenset(line.split()[-1] for line in _text("/proc/filesystems").splitlines()),
        has_modules=exists("/proc/modules"),
        capabilities=int(_status_field("CapEff"), 16),
        resctrl=_has_resctrl(),
        network_devices=frozenset(posix.listdir("/sys/class/net")) if exists("/sys/class/net") else frozenset(),
        page_sizes=read_page_sizes(),
        memory_nodes=_text("/sys/devices/system/node/online") or "0",
        cpus=_text("/sys/devices/system/cpu/possible") or "0",
        seccomp_actions=frozenset(_text("/proc/sys/kernel/seccomp/actions_avail").split()),
        has_map_programs=bool(map_program("newuidmap") and map_program("newgidmap")),
        oom_score_adj=int(_text("/proc/self/oom_score_adj") or "0"),
        hard_limits=_hard_limits(),
        paths={path: kind_of(path) for path in paths_of(config, bundle)},
        program=_has_program(config, bundle),
    )


def paths_of(config: Config, bundle: str) -> Iterator[str]:
    """Every path of the host's that this config needs.  Pure."""
    if bundle:
        yield below(bundle, config.root.path)
    for mount in config.mounts:
        if is_bind(mount) and (mount.source.startswith("/") or bundle):
            yield below(bundle, mount.source)
    for kind in _HOST_HOOKS:
        for hook in getattr(config.hooks, kind):
            yield hook.path
    for namespace in config.linux.namespaces:
        if namespace.path:
            yield namespace.path
    if config.linux.seccomp is not None and config.linux.seccomp.listener_path:
        yield config.linux.seccomp.listener_path
    for key in config.linux.sysctl:
        yield sysctl_file(key)


def is_bind(mount: Mount) -> bool:
    return mount.type == "bind" or "bind" in mount.options or "rbind" in mount.options


def below(bundle: str, path: str) -> str:
    return path if path.startswith("/") else f"{bundle}/{path}"


def sysctl_file(key: str) -> str:
    return "/proc/sys/" + key.translate({ord("."): "/", ord("/"): "."})


def kind_of(path: str) -> str:
    """ "program" is a file that somebody may execute."""
    try:
        mode = posix.stat(path).st_mode
    except OSError as error:
        if error.errno in _ABSENT:
            return MISSING
        if error.errno == EACCES:
            return HIDDEN
        raise
    kind = _KINDS.get(mode & S_IFMT, "other")
    return "program" if kind == "file" and mode & 0o111 else kind


def _text(path: str) -> str:
    """A small file of the kernel's; "" where this kernel has none."""
    try:
        return read_file(path).decode("ascii", "replace").strip()
    except OSError as error:
        if error.errno in (ENOENT, EACCES, EINVAL):
            return ""
        raise


def _status_field(name: str) -> str:
    lines = _text("/proc/self/status").splitlines()
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), "0")


def _has_resctrl() -> bool:
    try:
        mount_point()
    except Unsupported:
        return False
    return True


def _hard_limits() -> dict[str, int]:
    """Of this process, by the kernel's names: /proc/PID/limits (proc_pid_limits(5))."""
    found: dict[str, int] = {}
    for line in _text("/proc/self/limits").splitlines()[1:]:
        words = line[26:].split()
        if len(words) > 1:
            found[line[:26].strip()] = (1 << 64) - 1 if words[1] == "unlimited" else int(words[1])
    return found


def _has_program(config: Config, bundle: str) -> bool | None:
    """None: without a bundle or a process, where a mount may bring it, or where we may not look."""
    process = config.process
    if not bundle or process is None or kind_of(below(bundle, config.root.path)) != "directory":
        return None
    tried = [absolute(process, candidate) for candidate in candidates(process)]
    if any(f"{path}/".startswith(f"/{mount.destination.strip('/')}/") for path in tried for mount in config.mounts):
        return None
    with open_directory(below(bundle, config.root.path)) as rootfs:
        for path in tried:
            try:
                open_in_root(rootfs, path, O_PATH).close()
            except OSError as error:
                if error.errno == EACCES:
                    return None
                if error.errno not in _ABSENT:
                    raise
            else:
                return True
    return False


def absolute(process: Process, path: str) -> str:
    return path if path.startswith("/") else f"{process.cwd}/{path.removeprefix('./')}"
