"""Kinds of containers whose verbs are disturbed, and what differs in each: which verbs, and how many processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cli.bundle import in_user_namespace
from faults.hierarchies import leave_version_2_alone
from faults.scenes import SCENES, Create, Delete, Exec, Scene, Start, Update, UpdateFromFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.bundle import Bundle
    from faults.injector import Injector

USER = 12345
RUNTIME, STAGE, SECOND = 0, 1, 2


class Kind:
    """`prepare` makes the plain bundle one of this kind.  Verbs are disturbed in `scenes`, in each of `who`.

    `said`: how a table of verbs goes on, and `second` what the second process is that create makes.
    """

    def __init__(
        self,
        name: str,
        said: str,
        prepare: Callable[[Bundle, Injector], None],
        scenes: dict[type[Scene], tuple[int, ...]],
        second: str = "init",
    ) -> None:
        self.name = name
        self.said = said
        self.prepare = prepare
        self.scenes = scenes
        self.second = second

    def process(self, who: int, scene: type[Scene]) -> str:
        second = "second process" if scene is Exec else self.second
        return ("pyrunc", "stage", second)[who]


def plain(_bundle: Bundle, _injector: Injector) -> None:
    pass


def with_hooks(bundle: Bundle, _injector: Injector) -> None:
    hook = {"path": "/bin/true"}
    bundle.config["hooks"] = {kind: [hook] for kind in ("createRuntime", "createContainer", "poststart", "poststop")}


def confined(bundle: Bundle, _injector: Injector) -> None:
    """In a user namespace: the parent writes id maps and opens the sources, and init is a second process."""
    in_user_namespace(bundle)


def on_version_2(bundle: Bundle, _injector: Injector) -> None:
    """One hierarchy, a program for the devices, freezing and killing by the kernel."""
    leave_version_2_alone()
    bundle.linux["resources"]["unified"] = {"cgroup.max.descendants": "20"}
    del bundle.linux["resources"]["memory"]  # controllers are on version 1 of a hybrid host


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
PLAIN = Kind("plain", "", plain, _PLAIN)
CONFINED = Kind("user namespace", " in a user namespace", confined, {Create: _TWO, Exec: _TWO, Delete: (RUNTIME,)})
# Without a cgroup nothing but /proc and its pid says where a process is.
ROOTLESS = Kind(
    "rootless", " of an ordinary user", rootless, {Create: _TWO, Start: (RUNTIME,), Exec: _TWO, Delete: (RUNTIME,)}
)
_ON_VERSION_2: dict[type[Scene], type[Scene]] = {Update: UpdateFromFile}
VERSION_2 = Kind(
    "version 2",
    " on version 2",
    on_version_2,
    {_ON_VERSION_2.get(scene, scene): who for scene, who in _PLAIN.items()},
)
KINDS = (
    PLAIN,
    Kind(
        "hooks",
        " with hooks",
        with_hooks,
        {Create: _TWO, Start: (RUNTIME,), Delete: (RUNTIME,)},
        "createRuntime hook",
    ),
    CONFINED,
    ROOTLESS,
    VERSION_2,
)
ALL = [(kind, scene) for kind in KINDS for scene in kind.scenes]
