"""Whole rootfs programs against a pretended kernel: descriptors, labels, and that nothing is named to the kernel."""

import pytest

from ocispec.config import Mount
from ocispec.linux import Linux
from pretended_rootfs import MOUNTS, Pretended, compiled, inputs, run_pretended, why
from pyrunc.kernel.constants import MOUNT_ATTR_RDONLY
from pyrunc.program.builder import Program
from pyrunc.program.encode import encode
from pyrunc.program.numbers import NUMBERS
from pyrunc.program.simulator import simulate
from pyrunc.rootfs.devices import encode_device
from pyrunc.rootfs.mounts import emit_mounts, mount_warnings, wanted_sources
from pyrunc.rootfs.pivot import emit_pivot
from pyrunc.rootfs.prepare import emit_rootfs


@pytest.mark.parametrize("changes", [
    {}, {"has_cgroup_namespace": True}, {"no_pivot": True}, {"has_user_namespace": True},
    {"rootfs_fd": 9, "has_user_namespace": True}, {"linux": Linux(rootfs_propagation="shared")},
])  # fmt: skip
def test_every_descriptor_is_closed_and_none_is_used_afterwards(changes: dict[str, object]) -> None:
    p = compiled(inputs(**changes))
    run, kernel = run_pretended(p)
    assert why(p, run) == "end"
    assert set(kernel.open) <= {0, 1, 2}


def test_when_a_call_fails_nothing_is_used_after_it_was_closed() -> None:
    """A few errnos; tests/properties has them at random."""
    p = compiled(inputs())
    assert {run_pretended(p, seed, 0.03)[0].ended for seed in range(5)} == {"end", "failed"}


def test_no_path_of_the_rootfs_is_ever_named() -> None:
    """But for opening the bundle's own directory.  Everything else inside is relative to a descriptor."""
    p = compiled(inputs())
    run, _kernel = run_pretended(p)
    for step in run.trace:
        named = [a for a in step.arguments if isinstance(a, str) and a.startswith("/srv/bundle/rootfs")]
        assert not named or step.name in ("open_tree", "openat")
        if step.name in ("openat2", "mkdirat", "mknodat", "symlinkat", "unlinkat"):
            directory = step.arguments[1 if step.name == "symlinkat" else 0]
            assert isinstance(directory, int)
            assert directory >= 0
    assert {step.arguments[1] for step in run.trace if step.name == "mount"} == {"/proc/self/fd/250"}


def test_attributes_are_set_before_a_tree_is_attached() -> None:
    p = compiled(inputs(MOUNTS[5:6], linux=Linux()))
    run, _kernel = run_pretended(p)
    names = [step.name for step in run.trace]
    tree = next(
        step.result for step in run.trace if step.name == "open_tree" and step.arguments[1] == "/srv/bundle/hosts"
    )
    calls = [step.name for step in run.trace if step.arguments and step.arguments[0] == tree]
    assert calls == ["mount_setattr", "statx", "move_mount", "mount_setattr", "close"]
    assert "mount" not in names


def test_a_mount_that_was_moved_is_noticed() -> None:
    p = compiled(inputs(MOUNTS[:1], linux=Linux()))
    kernel = Pretended(0, 0.0)
    handlers = {**kernel.handlers(), "move_mount": 0}
    run = simulate(p, handlers)  # type: ignore[arg-type]
    assert why(p, run) == (
        "mounts[0] /proc: the mount point was moved or covered meanwhile: EAGAIN (resource temporarily unavailable)"
    )


def test_every_operation_says_what_it_does() -> None:
    for operation in compiled(inputs()).operations:
        if operation.name in ("call", "check") or operation.kind == 0:
            assert operation.label.doing or operation.label.says or operation.target is not None


def test_values_for_fsconfig_are_short_enough() -> None:
    p = compiled(inputs())
    for operation in p.operations:
        for argument in operation.arguments if operation.name == "fsconfig" else ():
            assert getattr(argument, "size", 0) <= 256


def test_it_can_be_encoded_for_both_architectures() -> None:
    p = compiled(inputs(has_user_namespace=True))
    assert len(encode(p, NUMBERS["x86_64"])) == len(encode(p, NUMBERS["aarch64"]))


def test_without_a_mount_namespace_no_propagation_is_touched() -> None:
    plain = tuple(mount for mount in MOUNTS[:4] if mount.destination != "/dev")
    p = Program()
    given = inputs(plain, has_mount_namespace=False, linux=Linux(rootfs_propagation="rshared"))
    root = emit_rootfs(p, given)
    emit_mounts(p, root, given)
    emit_pivot(p, root, given)
    run, _kernel = run_pretended(p)
    assert why(p, run) == "end"
    assert not run.calls("pivot_root")
    assert run.calls("chroot") == [(".",)]
    for call in run.calls("mount_setattr"):
        propagation = call[3][16:24]  # type: ignore[index]
        assert propagation == bytes(8)


def test_wanted_sources() -> None:
    assert [(one.index, one.path, one.recursive) for one in wanted_sources(inputs())] == [
        (5, "/srv/bundle/hosts", True), (6, "/data", False),
    ]  # fmt: skip


def test_sources_that_the_parent_opened_are_not_named() -> None:
    p = compiled(inputs(MOUNTS[:7], source_fds={5: 9, 6: 9}, linux=Linux()))
    run, _kernel = run_pretended(p)
    assert not [call for call in run.calls("open_tree") if call[1] in ("/data", "/srv/bundle/hosts")]


def test_the_root_becomes_read_only_last_of_all_mounts() -> None:
    p = compiled(inputs())
    run, _kernel = run_pretended(p)
    changes = [step for step in run.trace if step.name in ("mount_setattr", "move_mount", "mount")]
    attributes = [s.arguments[3] for s in changes if s.name == "mount_setattr"]
    before_pivot = attributes[-2]  # the last one makes the old root a slave
    assert before_pivot[:8] == MOUNT_ATTR_RDONLY.to_bytes(8, "little")  # type: ignore[index]


@pytest.mark.parametrize(("major", "minor", "number"), [
    (1, 3, 0x103), (0, 0, 0), (259, 70000, 0x11110370), (4095, 1048575, 0xFFFFFFFF), (8, 256, 0x100800),
])  # fmt: skip
def test_device_numbers(major: int, minor: int, number: int) -> None:
    assert encode_device(major, minor) == number


def test_what_is_ignored_is_known() -> None:
    mounts = (
        Mount(destination="/a", type="bind", source="/a", options=("ro", "size=1k", "lazytime", "rprivate")),
        Mount(destination="/b", type="tmpfs", source="b", options=("size=1k", "lazytime", "mand")),
        Mount(destination="/c", type="tmpfs", source="c", options=("nosuid",)),
    )
    config = inputs(mounts, linux=Linux(mount_label="x_t")).config
    ignored = ["mounts[0] /a: no effect here: size=1k, lazytime", "mounts[1] /b: no effect here: mand"]
    assert mount_warnings(config, has_selinux=True) == ignored
    assert mount_warnings(config, has_selinux=False) == [
        *ignored, "linux.mountLabel: this host has no SELinux, ignoring",
    ]  # fmt: skip
