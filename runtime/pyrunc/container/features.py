"""The features document: what this build does, read off the tables that do it.

Nothing is probed: the document says what pyrunc implements, not what this machine has (features.md).
"""

from __future__ import annotations

from ocispec import SPEC_VERSION
from ocispec.words import MEMORY_POLICY_FLAGS, MEMORY_POLICY_MODES
from pyrunc import VERSION
from pyrunc.launcher import launcher
from pyrunc.namespaces.plan import FLAGS as NAMESPACES
from pyrunc.rootfs.options import known_words
from pyrunc.security.capability_names import CAPABILITY_NAMES
from pyrunc.security.seccomp import FLAGS as SECCOMP_FLAGS
from pyrunc.security.seccomp_profile import ACTIONS, OPERATORS
from pyrunc.security.syscall_tables import TOKENS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

HOOKS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def features_document() -> dict[str, Any]:
    """Keys and order of features.md; lists are sorted, as runc has them."""
    return {
        "ociVersionMin": "1.0.0",
        "ociVersionMax": SPEC_VERSION,
        "hooks": list(HOOKS),
        "mountOptions": _sorted(known_words()),
        "linux": {
            "namespaces": _sorted(NAMESPACES),
            "capabilities": list(CAPABILITY_NAMES),
            "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
            "seccomp": {
                "enabled": True,
                "actions": _sorted(ACTIONS),
                "operators": _sorted(OPERATORS),
                "archs": _sorted(TOKENS),
                "knownFlags": sorted(SECCOMP_FLAGS),
                "supportedFlags": _sorted(SECCOMP_FLAGS),
            },
            "apparmor": {"enabled": True},
            "selinux": {"enabled": True},
            "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
            "memoryPolicy": {"modes": sorted(MEMORY_POLICY_MODES), "flags": sorted(MEMORY_POLICY_FLAGS)},
            "mountExtensions": {"idmap": {"enabled": True}},
            "netDevices": {"enabled": True},
        },
        "annotations": {
            # The name that engines look for, whoever the runtime is (crun has it too).
            "org.opencontainers.runc.checkpoint.enabled": "false",
            "org.opencontainers.pyrunc.version": VERSION,
            "org.opencontainers.pyrunc.launcher": launcher(),
        },
        # runc's three, and crun's (container/annotations.py); a dot at the end stands for all that follow.
        "potentiallyUnsafeConfigAnnotations": ["bundle", "org.criu.config", "org.systemd.property.", "run.oci."],
    }


def _sorted(words: Iterable[str]) -> list[str]:
    return sorted(set(words))
