"""Which device nodes the parent makes for a user namespace."""

from ocispec.config import Config, Root
from ocispec.linux import Device, IDMapping, Linux
from pyrunc.kernel.constants import S_IFBLK, S_IFCHR
from pyrunc.rootfs.devices import DeviceNode, wanted_nodes


def mapping(container: int, host: int, size: int) -> IDMapping:
    return IDMapping(container_id=container, host_id=host, size=size)


def nodes(*devices: Device) -> tuple[DeviceNode, ...]:
    linux = Linux(devices=devices, uid_mappings=(mapping(0, 1000, 10),), gid_mappings=(mapping(0, 2000, 5),))
    return wanted_nodes(Config(oci_version="1.3.0", root=Root(path="rootfs"), linux=linux))


def test_they_belong_to_ids_of_the_host() -> None:
    found = nodes(
        Device(type="c", path="dev/../dev/x", major=1, minor=5, file_mode=0o20640, uid=3, gid=4),
        Device(type="b", path="/y", major=259, minor=70000),
    )
    assert found == (
        DeviceNode(index=0, path="/dev/x", kind=S_IFCHR, number=0x105, mode=0o640, uid=1003, gid=2004),
        DeviceNode(index=1, path="/y", kind=S_IFBLK, number=0x11110370, mode=0o666, uid=1000, gid=2000),
    )


def test_the_stage_makes_fifos_itself() -> None:
    assert nodes(Device(type="p", path="/p")) == ()


def test_whose_owner_is_unknown_is_left_to_the_host() -> None:
    unknown = Device(type="c", path="/x", major=1, minor=3, uid=10)
    assert nodes(unknown, Device(type="c", path="/y", major=1, minor=3, gid=5)) == ()
    assert [node.index for node in nodes(unknown, Device(type="c", path="/y", major=1, minor=3, uid=9))] == [1]
