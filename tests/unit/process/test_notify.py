"""What a container that can say READY=1 has more than its config says."""

from __future__ import annotations

from ocispec.config import Config, Process, Root, User
from pyrunc.process.notify import with_notify_socket


def config(process: Process | None) -> Config:
    return Config(oci_version="1.0.2", root=Root(path="rootfs"), process=process)


def test_mount_and_environment() -> None:
    process = Process(user=User(uid=0, gid=0), cwd="/", args=("true",), env=("A=b",))
    made = with_notify_socket(config(process), "/run/pyrunc/c1/notify")
    assert made.process is not None
    assert made.process.env == ("A=b", "NOTIFY_SOCKET=/run/notify/notify.sock")
    (mount,) = made.mounts
    assert (mount.destination, mount.source, mount.type) == ("/run/notify", "/run/pyrunc/c1/notify", "bind")
    assert set(mount.options) >= {"bind", "ro", "nosuid", "nodev", "noexec", "private"}


def test_without_a_process() -> None:
    assert with_notify_socket(config(None), "/x") == config(None)
