"""Mutants that say what is not so: in the state document, or of their features."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Document = dict[str, Any]
    Edit = Callable[[Document], object]


def put(value: Any, *path: str) -> Edit:
    def edit(document: Document) -> None:
        place = document
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value

    return edit


def append(value: Any, *path: str) -> Edit:
    def edit(document: Document) -> None:
        place: Any = document
        for name in path:
            place = place[name]
        place.append(value)

    return edit


def word(old: str, new: str) -> Edit:
    """Another word for a status."""

    def edit(document: Document) -> None:
        if document["status"] == old:
            document["status"] = new

    return edit


def swap_versions(document: Document) -> None:
    document["ociVersionMin"], document["ociVersionMax"] = document["ociVersionMax"], document["ociVersionMin"]


def flip_idmap(document: Document) -> None:
    told = document["linux"]["mountExtensions"]["idmap"]
    told["enabled"] = not told["enabled"]


STATES: dict[str, Edit] = {
    "state-without-version": lambda state: state.pop("ociVersion"),
    "state-with-another-id": put("another", "id"),
    "state-created-is-running": word("created", "running"),
    "state-has-new-words": word("running", "busy"),
    "state-with-another-pid": lambda state: state.update(pid=state.get("pid", 0) + 1),
    "state-with-relative-bundle": lambda state: state.update(bundle=os.path.basename(state["bundle"])),
    "state-without-annotations": put({}, "annotations"),
    "state-with-pid-as-text": lambda state: state.update(pid=str(state.get("pid"))),
}

SECCOMP = ("linux", "seccomp")
FEATURES: dict[str, Edit] = {
    "features-of-the-host": lambda told: told["annotations"].update(host=os.readlink("/proc/self/ns/mnt")),
    "features-with-null": put(None, "hooks"),
    "features-without-versions": lambda told: told.pop("ociVersionMax"),
    "features-with-a-low-version": put("0.9.0", "ociVersionMin"),
    "features-with-a-high-version": put("2.0.0", "ociVersionMax"),
    "features-upside-down": swap_versions,
    "features-with-unknown-properties": put({}, "linux", "warpDrive"),
    "features-with-a-hook-too-many": append("preflight", "hooks"),
    "features-with-an-option-too-many": append("nosuchoption", "mountOptions"),
    "features-with-options-of-tmpfs": append("size", "mountOptions"),
    "features-with-numbers": put(7, "annotations", "org.example.number"),
    "features-with-a-namespace-too-many": append("colour", "linux", "namespaces"),
    "features-with-a-capability-too-many": append("CAP_FLY", "linux", "capabilities"),
    "features-with-an-action-too-many": append("SCMP_ACT_LAUGH", *SECCOMP, "actions"),
    "features-with-an-operator-too-many": append("SCMP_CMP_LIKE", *SECCOMP, "operators"),
    "features-with-an-architecture-too-many": append("SCMP_ARCH_PDP11", *SECCOMP, "archs"),
    "features-with-a-flag-too-many": append("SECCOMP_FILTER_FLAG_WAVE", *SECCOMP, "knownFlags"),
    "features-with-a-supported-flag-too-many": append("SECCOMP_FILTER_FLAG_WAVE", *SECCOMP, "supportedFlags"),
    "features-with-a-mode-too-many": append("MPOL_ELSEWHERE", "linux", "memoryPolicy", "modes"),
    "features-with-a-policy-flag-too-many": append("MPOL_F_WAVE", "linux", "memoryPolicy", "flags"),
    "features-wrong-about-idmap": flip_idmap,
}
