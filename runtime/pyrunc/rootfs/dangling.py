"""Destinations behind links of the image that lead nowhere yet: /var/run -> /run, and the image has no /run.

runc makes what is missing at the link's end.  The stage cannot: making a directory behind a link means reading the
link, and the stage reads nothing.  So when a container fails for ENOENT, and only then, the links are looked at from
outside, and the container is tried once more with destinations that say where the links lead.  The stage opens those
as carefully as any others: a link that was changed meanwhile leads nowhere else.
"""

from __future__ import annotations

from ocispec.record import replace
from pyrunc.kernel.beneath import resolve_dangling
from pyrunc.kernel.files import open_directory
from pyrunc.rootfs.paths import clean_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Config, Mount
    from ocispec.linux import Device
    from pyrunc.kernel.files import Fd


def with_links_resolved(config: Config, rootfs: str) -> Config | None:
    """The config with other destinations and device paths; None when no link dangles.  Raises OSError."""
    with open_directory(rootfs) as root:
        mounts = tuple(_mount(root, mount) for mount in config.mounts)
        devices = tuple(_device(root, device) for device in config.linux.devices)
    if mounts == config.mounts and devices == config.linux.devices:
        return None
    return replace(config, mounts=mounts, linux=replace(config.linux, devices=devices))


def _mount(root: Fd, mount: Mount) -> Mount:
    destination = clean_path(mount.destination)
    # proc and sysfs are mounted behind no link at all, and /dev has rules of its own (mounts.py, devices.py).
    if mount.type in ("proc", "sysfs") or destination == "/dev":
        return mount
    resolved = resolve_dangling(root, destination)
    return replace(mount, destination=resolved) if resolved else mount


def _device(root: Fd, device: Device) -> Device:
    """The name itself is not followed: a link there is no device."""
    parent, _slash, name = clean_path(device.path).rpartition("/")
    resolved = resolve_dangling(root, parent)
    return replace(device, path=f"{resolved.rstrip('/')}/{name}") if resolved else device
