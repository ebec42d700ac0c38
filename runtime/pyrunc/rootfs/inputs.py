"""What the emitters of this package need to know."""

from __future__ import annotations

from ocispec.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config
    from pyrunc.kernel.host import CgroupHierarchy


class RootfsInputs(Record):
    """Paths are absolute and on the host; descriptors are the stage's, -1 for none."""

    config: Config
    bundle: str
    rootfs: str  # without symbolic links: its parents are asked whether they are mount points
    has_mount_namespace: bool
    has_user_namespace: bool  # not the initial one: no mknod(2), and mounts from outside have locked flags
    has_cgroup_namespace: bool
    has_network_namespace: bool
    cgroups: tuple[CgroupHierarchy, ...]
    cgroup_paths: tuple[str, ...]  # the container's cgroup below each hierarchy's mount point, "" if none
    source_fds: dict[int, int] = {}  # index in mounts -> a detached copy of its source, opened by the parent
    device_fds: dict[int, int] = {}  # index in linux.devices -> a detached mount of a node that the parent made
    source_links: dict[int, str] = {}  # index in mounts -> the link that its source is, for copy-symlink
    rootfs_fd: int = -1  # the same for the rootfs
    console_fd: int = -1  # the connected console socket
    no_pivot: bool = False
    mount_label: str = ""  # linux.mountLabel if the host has SELinux, else ""
    socket_fd: int = 3  # to the parent
    sync_hand_over: int = 0  # tmpcopyup: numbers of the two sync points (process/sync.py)
    sync_copy_up: int = 0
    spare_fd: int = 250  # a number nobody uses: descriptors go there when a path or a message must name them
    proc: int | None = None  # a descriptor of the host's /proc, where that path is not its any more: rootfs/host.py
