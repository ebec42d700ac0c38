"""Kinds of containers whose verbs are disturbed, and what differs in each: which verbs, and how many processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cli.bundle import in_user_namespace
from faults.scenes import SCENES, Create, Delete, Exec, Scene, Start

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.bundle import Bundle
    from faults.injector import Injector

USER = 12345
RUNTIME, STAGE, SECOND = 0, 1, 2


class Kind:
    """`prepare` makes the plain bundle one of this kind.  Verbs are disturbed in `scenes`, in each of `who`."""

    def __init__(
        self,
        name: str,
        prepare: Callable[[Bundle, Injector], None],
        scenes: dict[type[Scene], tuple[int, ...]],
    ) -> None:
        self.name = name
        self.prepare = prepare
        self.scenes = scenes


def plain(_bundle: Bundle, _injector: Injector) -> None:
    pass


def with_hooks(bundle: Bundle, _injector: Injector) -> None:
    hook = {"path": "/bin/true"}
    bundle.config["hooks"] = {kind: [hook] for kind in ("createRuntime", "createContainer", "poststart", "poststop")}


def confined(bundle: Bundle, _injector: Injector) -> None:
    """In a user namespace: the parent writes id maps and opens the sources, and init is a second process."""
    in_user_namespace(bundle)


def rootless(bundle: Bundle, injector: Injector) -> None:
    """Of an ordinary user: no capabilities outside, one id, no cgroup."""
    in_user_namespace(bundle, USER, 1)
    del bundle.linux["cgroupsPath"], bundle.linux["resources"]
    for mount in bundle.mounts:
        mount["options"] = [word for word in mount.get("options", []) if word != "gid=5"]
    # /sys is bound by `spec --rootless`; a new one is fine in a network namespace of one's own
    injector.user = USER
    for path in (injector.state_root, bundle.path):
        os.chown(path, USER, USER)
    for program in (bundle.path, injector.program):
        for directory in program.parents:
            if str(directory).startswith("/tmp/"):
                directory.chmod(directory.stat().st_mode | 0o011)


_PLAIN = {scene: (RUNTIME, STAGE) if scene in (Create, Exec) else (RUNTIME,) for scene in SCENES}
_TWO = (RUNTIME, STAGE, SECOND)
PLAIN = Kind("plain", plain, _PLAIN)
CONFINED = Kind("user namespace", confined, {Create: _TWO, Exec: _TWO, Delete: (RUNTIME,)})
# Without a cgroup nothing but /proc and its pid says where a process is.
ROOTLESS = Kind("rootless", rootless, {Create: _TWO, Start: (RUNTIME,), Exec: _TWO, Delete: (RUNTIME,)})
KINDS = (
    PLAIN,
    # The third process is the createRuntime hook's.
    Kind("hooks", with_hooks, {Create: _TWO, Start: (RUNTIME,), Delete: (RUNTIME,)}),
    CONFINED,
    ROOTLESS,
)
ALL = [(kind, scene) for kind in KINDS for scene in kind.scenes]
