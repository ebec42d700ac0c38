"""Which attack stands for which advisories, how other runtimes did, and which defence taken away makes it succeed.

`runc` is Debian's 1.1.5, `crun` Debian's 1.8.1: both are older than many of the fixes.  HIT: the attack had its effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from security import attacks

if TYPE_CHECKING:
    from security.attacks import Attack

HIT = "hit"
HOLDS = "holds"


class Row(NamedTuple):
    where: str  # in the test matrix of the reference, S01 to S35
    advisories: str
    attack: Attack
    runc: str
    crun: str
    without: str = ""  # the defence in weakened.py that, taken away, lets the attack have its effect


ROWS = {
    "proc is a link": Row(
        "S01",
        "CVE-2019-19921 CVE-2023-27561 CVE-2023-28642 CVE-2025-54867",
        attacks.image_link("proc", "proc"),
        HOLDS,
        HOLDS,
        "links_in_root",
    ),
    "proc is a link inside": Row(
        "S01", "CVE-2019-19921", attacks.masks_land_elsewhere, HOLDS, HOLDS, "ordinary_directory"
    ),
    "sys is a link": Row("S02", "CVE-2019-19921", attacks.image_link("sys", "sub"), HOLDS, HOLDS, "links_in_root"),
    "dev is a link": Row(
        "S03",
        "CVE-2026-41579 CVE-2026-47766",
        attacks.image_link("dev", "dev sub", attacks.without_dev),
        HIT,
        HIT,
        "links_in_root",
    ),
    "dev is a link, tmpfs on it": Row(
        "S03", "CVE-2026-41579", attacks.image_link("dev", "dev sub"), HIT, HOLDS, "links_in_root"
    ),
    "dev/pts is a link": Row(
        "S03",
        "CVE-2025-52565",
        attacks.image_link("dev/pts", "dev/pts", attacks.without_tmpfs),
        HOLDS,
        HOLDS,
        "links_in_root",
    ),
    "dev/null is a link": Row(
        "S04", "CVE-2025-31133 CVE-2025-62161", attacks.null_of_the_image, HOLDS, HOLDS, "own_null"
    ),
    "dev/null becomes a link": Row("S04", "CVE-2025-31133", attacks.null_swapped_late, HIT, HOLDS, "own_null"),
    "stdio and dev/null": Row("S04", "CVE-2026-88265", attacks.stdio_given_away, HOLDS, HIT),
    "dev/console is a link": Row(
        "S05",
        "CVE-2026-88264 CVE-2026-39822",
        attacks.image_link("dev/console", "absent", attacks.without_tmpfs),
        HOLDS,
        HIT,
        "console_name",
    ),
    "etc is a link": Row(
        "S06",
        "CVE-2019-18837 CVE-2021-30465 CVE-2024-45310",
        attacks.image_link("etc", "etc", attacks.mounted_at("/etc")),
        HOLDS,
        HOLDS,
        "links_in_root",
    ),
    "a mount target is a link": Row(
        "S06",
        "CVE-2019-18837",
        attacks.image_link("data", "absent sub", attacks.mounted_at("/data")),
        HOLDS,
        HOLDS,
        "links_in_root",
    ),
    "cwd through a link": Row(
        "S13", "CVE-2026-55686 CVE-2026-76061", attacks.copied_into, HOLDS, HOLDS, "links_in_root"
    ),
    "cwd in a leaked directory": Row("S13", "CVE-2024-21626", attacks.leaked_directory, HOLDS, HIT),
    "inheritable capabilities": Row(
        "S18",
        "CVE-2022-24769 CVE-2022-29162 CVE-2022-27650 CVE-2025-27612",
        attacks.inheritable_capabilities,
        HOLDS,
        HOLDS,
        "inheritable",
    ),
    "numbers as names": Row("S19", "CVE-2016-3697", attacks.numeric_user_names, HOLDS, HOLDS, "user_names"),
    "words as users": Row("S19", "CVE-2026-30892", attacks.odd_users, HIT, HIT),
    "ids that overflow": Row("S19", "CVE-2024-40635 CVE-2026-46680", attacks.overflowing_ids, HOLDS, HIT),
    "passwd is no file": Row("S20", "CVE-2026-47262", attacks.hostile_passwd, HIT, HIT),
    "a sibling's cgroup": Row("S25", "runc 1.5.2", attacks.cgroup_of_a_sibling, HIT, HOLDS),
    "page sizes": Row("S25", "GHSA-5g49-rx9x-qfc6", attacks.huge_page_path, HOLDS, HOLDS),
    "names": Row("S25", "", attacks.container_names, HOLDS, HIT),
    "long fields": Row("S26", "CVE-2021-43784", attacks.long_fields, HOLDS, HOLDS),
    "documents": Row("S26", "", attacks.documents, HIT, HIT),
    "devices by default": Row("S27", "GHSA-g54h-m393-cpwq", attacks.devices_by_default, HOLDS, HIT, "device_rules"),
    "devices by default on v2": Row(
        "S27", "GHSA-g54h-m393-cpwq", attacks.devices_by_default_v2, HOLDS, HIT, "device_rules"
    ),
    "the root stays read-only": Row("S31", "CVE-2026-115521", attacks.readonly_root, HOLDS, HOLDS, "late_readonly"),
    "environment of hooks": Row(
        "S21", "CVE-2025-23266", attacks.environment_of_hooks, HOLDS, HOLDS, "hook_environment"
    ),
    "sockets of the runtime": Row("S29", "CVE-2020-15257", attacks.sockets_of_the_runtime, HOLDS, HOLDS),
    "modes of the state": Row("S29", "CVE-2024-25621", attacks.modes_of_state, HOLDS, HOLDS, "modes"),
    "cgroups of a user": Row("S28", "CVE-2023-25809", attacks.cgroups_of_a_user, HOLDS, HOLDS, "cgroup_readonly"),
    "sysctl on a volume": Row(
        "S12", "CVE-2025-52881 CVE-2025-62596", attacks.sysctl_on_a_volume, HOLDS, HOLDS, "private_procfs"
    ),
    "sysctl of the host": Row("S12", "CVE-2022-0811", attacks.sysctl_of_the_host, HOLDS, HOLDS),
    "propagation of the host": Row("S32", "runc 1.5.3", attacks.propagation_of_the_host, HIT, HOLDS),
}

# row -> why nothing shows that it would be noticed
UNCONTROLLED = {
    "page sizes": "both peers have the fix; the check alone taken away, the kernel has no such file",
    "long fields": "runc has the fix; a field that loses bytes is in the stage's own tests (test_stage_fuzz.py)",
    "sockets of the runtime": "there never was one; that a socket would be seen is a test of its own",
    "sysctl of the host": "it would change the real host's; that each key is refused is in tests/unit/ocispec",
}
