"""Bind mounts: a copy of what the host has mounted, attached in the rootfs (mounts.py says how).

A container of an engine has many, with the same options.  Their operations are the same but for some words, so they
are emitted once, for a source and a destination that nobody has, and stamped for each (builder.py, `pattern`): those
that follow one another are rows of one loop of the stage (docs/adr/0015).
"""

from __future__ import annotations

from errno import EINVAL

from pyrunc.kernel.constants import MS_SLAVE, O_NOFOLLOW, O_PATH, PROC_SUPER_MAGIC
from pyrunc.rootfs.trees import emit_attributes, emit_clone, emit_propagation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.config import Mount
    from pyrunc.program.builder import Program
    from pyrunc.program.operations import Register
    from pyrunc.rootfs.mounting import Mounting
    from pyrunc.rootfs.options import MountOptions

_SOURCE = "/\x01source"
_DEEP = 20  # directories; a pattern has at most 48 words


def source_of(bundle: str, mount: Mount) -> str:
    return mount.source if mount.source.startswith("/") else f"{bundle}/{mount.source}"


def emit_bind(m: Mounting, index: int, mount: Mount, options: MountOptions, destination: str) -> None:
    source = source_of(m.inputs.bundle, mount)
    # /proc and what lies in it, and "/", are matters of their own (mounting.py).
    is_special = destination == "/" or destination.startswith("/proc") or destination.count("/") > _DEEP
    if is_special or index in m.inputs.source_fds:
        _emit_one(m, index, source, options, destination)
    else:
        _emit_like_others(m, mount, source, options, destination)


def _emit_like_others(m: Mounting, mount: Mount, source: str, options: MountOptions, destination: str) -> None:
    """What is emitted depends on the options, the number of directories, and what is on /proc by then."""
    depth = destination.count("/")
    kind = (mount.options, depth, m.proc)
    pattern = m.patterns.get(kind)
    if pattern is None:
        start = len(m.p)
        made_up = "".join(f"/\x01{i}\x01" for i in range(depth))
        _emit_one(m, -1, _SOURCE, options, made_up)
        pattern = m.patterns[kind] = m.p.pattern(start, _words(_SOURCE, made_up))
    m.p.stamp(pattern, _words(source, destination))


def _words(source: str, destination: str) -> tuple[str, ...]:
    """All that the operations name: the source, the destination, the directories above it from below, their names."""
    names = destination.split("/")
    above = destination
    directories = [above := above.rpartition("/")[0] for _ in names[2:]]
    return (source, destination, *directories, *names[1:])


def _emit_one(m: Mounting, index: int, source: str, options: MountOptions, destination: str) -> None:
    p, inputs = m.p, m.inputs
    if index in inputs.source_fds:
        tree = p.register()
        p.set(tree, inputs.source_fds[index])
        # The parent made it in the host's mount namespace, where the propagation of "/" was not yet changed.
        emit_propagation(p, tree, MS_SLAVE, recursive=True, doing="make it a slave of the host's mounts")
    else:
        follow = not options.binds_link
        tree = emit_clone(p, source, recursive=options.is_recursive, doing=f"bind {source}", follow=follow)
    if destination == "/proc":
        _emit_check_proc(p, tree)
    emit_attributes(p, tree, options.attributes, recursive=False, doing=f"bind {source}: set attributes")
    m.own.read(p, tree)
    flags = O_PATH | (O_NOFOLLOW if options.binds_link or options.covers_link else 0)
    target = m.target(destination, is_directory=False, flags=flags if options.covers_link else O_PATH)
    m.attach(tree, destination, target, flags, is_directory=False)
    if destination == "/proc":
        m.remember_proc(tree)
    m.finish(tree, options, is_rootfs=destination == "/")


def _emit_check_proc(p: Program, tree: Register) -> None:
    """A bind on /proc must be of a procfs."""
    facts = p.scratch(128)  # struct statfs: 120 bytes
    p.call("fstatfs", tree, facts, doing="look at its file system")
    says = '"/proc" cannot be mounted because it is not of type proc'
    p.check(facts.field(0, 8), PROC_SUPER_MAGIC, doing="", errno=EINVAL, says=says)
