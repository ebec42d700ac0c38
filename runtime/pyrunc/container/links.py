"""Symbolic links that a plan cannot see: sources that are copied as links, destinations behind links that dangle."""

from __future__ import annotations

import posix
from errno import ENOENT

from ocispec.record import replace
from pyrunc.errors import during
from pyrunc.kernel.files import is_link
from pyrunc.rootfs.mounts import link_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.container.bundle import Bundle
    from pyrunc.errors import StageFailed
    from pyrunc.process.plan import Plan


def source_links(bundle: Bundle) -> dict[int, str]:
    """What copy-symlink is to copy: sources that are links.  Anything else is bound as ever."""
    links = {}
    for index, source in link_sources(bundle.config, bundle.path):
        with during(f"mounts[{index}].source: look at {source}"):
            if is_link(source):
                links[index] = posix.readlink(source)
    return links


def with_links_resolved(bundle: Bundle, plan: Plan, error: StageFailed) -> Bundle | None:
    """What to try next, for a stage that met a dangling link before any hook ran; None when there is none.

    Raises KernelError, for links that cannot be read.
    """
    if error.errno != ENOENT or error.operation >= plan.first_hook_operation:
        return None
    from pyrunc.rootfs import dangling  # few containers need it

    with during(f"root.path {bundle.rootfs}: resolve links"):
        config = dangling.with_links_resolved(bundle.config, bundle.rootfs)
    return None if config is None else replace(bundle, config=config)
