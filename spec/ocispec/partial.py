"""The rules between keys, for a config some of whose keys are wrong by themselves (`pyrunc validate`).

A check looks at its keys and trusts them; it is asked only when nothing has been said of any of them.
"""

from __future__ import annotations

from ocispec import checks, checks_of_linux
from ocispec.checks import CONFIG_CHECKS
from ocispec.reader import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocispec.config import Config

NAMESPACES = "linux.namespaces"
# check -> the places that it reads
READS: dict[Callable[[Config], Iterable[tuple[str, str]]], tuple[str, ...]] = {
    checks.annotation_keys: ("annotations",),
    checks.process: ("process",),
    checks.duplicate_namespaces: (NAMESPACES,),
    checks.host_names: ("hostname", "domainname", NAMESPACES),
    checks.user_namespace: (NAMESPACES, "linux.uidMappings", "linux.gidMappings"),
    checks.time_namespace: (NAMESPACES, "linux.timeOffsets"),
    checks.network_devices_have_a_namespace: (NAMESPACES, "linux.netDevices"),
    checks.mount_mappings: ("mounts", NAMESPACES),
    checks.bind_sources: ("mounts",),
    checks.resources: ("linux.resources",),
    checks_of_linux.devices: ("linux.devices",),
    checks_of_linux.network_devices: ("linux.netDevices",),
    checks_of_linux.seccomp: ("linux.seccomp",),
    checks_of_linux.intel_rdt: ("linux.intelRdt",),
    checks_of_linux.memory_policy: ("linux.memoryPolicy",),
    checks_of_linux.personality: ("linux.personality",),
    checks_of_linux.sysctls: ("linux.sysctl", NAMESPACES),
}


def further_problems(config: Config, known: Iterable[SpecError]) -> list[SpecError]:
    """What the checks say of the places of which nothing has been said yet."""
    wrong = [error.path for error in known]
    found: list[SpecError] = []
    for check in CONFIG_CHECKS:
        if not any(related(path, place) for path in wrong for place in READS[check]):
            found += [SpecError(place, problem) for place, problem in check(config)]
    return found


def related(left: str, right: str) -> bool:
    """Whether one place is the other or within it."""
    short, long = sorted((left, right), key=len)
    return long.startswith(short) and long[len(short) : len(short) + 1] in ("", ".", "[")
