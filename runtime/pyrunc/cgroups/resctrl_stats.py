"""What resctrl says of a container's class, in the shape of runc's `intel_rdt` (kernel: filesystems/resctrl.rst)."""

from __future__ import annotations

import posix

from pyrunc.cgroups.stats_files import read_number, read_text, without_zeros

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cgroups.resctrl import Group

L3_NUMBERS = ("min_cbm_bits", "num_closids")
MB_NUMBERS = ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")
MBM, CMT = ("mbm_total_bytes", "mbm_local_bytes"), ("llc_occupancy",)


def read_rdt(group: Group, root: str) -> dict[str, Any]:
    """`root` is resctrl.mount_point().  What the machine does not have is left out."""
    mask = (read_text(f"{root}/info/L3/cbm_mask") or "").strip()
    return without_zeros(
        {
            "l3_cache_info": without_zeros({"cbm_mask": mask, **_numbers(f"{root}/info/L3", L3_NUMBERS)}),
            "l3_cache_schema_root": _schema(root, "L3"),
            "l3_cache_schema": _schema(group.path, "L3"),
            "mem_bw_info": without_zeros(_numbers(f"{root}/info/MB", MB_NUMBERS)),
            "mem_bw_schema_root": _schema(root, "MB"),
            "mem_bw_schema": _schema(group.path, "MB"),
            "mbm_stats": _monitored(group, MBM),
            "cmt_stats": _monitored(group, CMT),
        }
    )


def _numbers(directory: str, names: tuple[str, ...]) -> dict[str, int]:
    return {name: read_number(f"{directory}/{name}") for name in names}


def _schema(directory: str, resource: str) -> str:
    """The line of a resource, `L3:0=ff;1=f`; with code and data apart (CDP) the one that is last, as runc."""
    lines = [line.strip() for line in (read_text(f"{directory}/schemata") or "").splitlines()]
    return next((line for line in reversed(lines) if line.startswith(resource)), "")


def _monitored(group: Group, names: tuple[str, ...]) -> list[dict[str, int]]:
    """A group of numbers for each cache, in the order of their ids; none where the kernel does not count them."""
    directory = f"{group.monitor or group.path}/mon_data"
    try:
        caches = sorted(posix.listdir(directory))
    except FileNotFoundError:  # ENOENT: nothing is monitored
        return []
    found = []
    for cache in caches:
        texts = {name: read_text(f"{directory}/{cache}/{name}") for name in names}
        if any(text is not None for text in texts.values()):
            # "Unavailable" and "Error" are what the hardware had to say.
            numbers = {name: int(text) for name, text in texts.items() if text is not None and text.strip().isdecimal()}
            found.append(without_zeros(numbers))
    return found
