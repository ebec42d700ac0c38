"""`update ID`: other limits for a container, from flags or from JSON."""

from __future__ import annotations

from pyrunc.container.amounts import parse_integer, parse_size
from pyrunc.container.store import Store
from pyrunc.container.update import read_wanted, update_container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cli.parse import Arguments

# flag -> object and key of linux.resources
UNSIGNED = {
    "cpu-period": ("cpu", "period"),
    "cpu-rt-period": ("cpu", "realtimePeriod"),
    "cpu-share": ("cpu", "shares"),
    "cpu-burst": ("cpu", "burst"),
}
SIGNED = {
    "cpu-quota": ("cpu", "quota"),
    "cpu-rt-runtime": ("cpu", "realtimeRuntime"),
    "cpu-idle": ("cpu", "idle"),
}
SIZES = {
    "memory": ("memory", "limit"),
    "memory-swap": ("memory", "swap"),
    "kernel-memory": ("memory", "kernel"),
    "kernel-memory-tcp": ("memory", "kernelTCP"),
    "memory-reservation": ("memory", "reservation"),
}
WORDS = {"cpuset-cpus": ("cpu", "cpus"), "cpuset-mems": ("cpu", "mems")}
NUMBERS = {"blkio-weight": ("blockIO", "weight"), "pids-limit": ("pids", "limit")}


def run(arguments: Arguments) -> int:
    store = Store(arguments.root)
    store.load(arguments.container_id)  # whether there is one is the first thing to be told
    document = read_wanted(arguments.resources) if arguments.resources else from_flags(arguments)
    schemata = (arguments.l3_cache_schema, arguments.mem_bw_schema)
    update_container(store, arguments.container_id, document, schemata)
    return 0


def from_flags(arguments: Arguments) -> dict[str, Any]:
    """linux.resources as the flags have it: only what was given is in it."""
    found: dict[str, Any] = {}

    def put(place: tuple[str, str], value: object) -> None:
        found.setdefault(place[0], {})[place[1]] = value

    for flag, place in NUMBERS.items():
        number = given(arguments, flag)
        if number is not None:
            put(place, number)
    for flag, place in WORDS.items():
        if given(arguments, flag):
            put(place, given(arguments, flag))
    for flags, parse in ((UNSIGNED, parse_unsigned), (SIGNED, parse_signed), (SIZES, parse_size)):
        for flag, place in flags.items():
            text = given(arguments, flag)
            if text:
                put(place, parse(flag, text))
    return found


def given(arguments: Arguments, flag: str) -> Any:
    return getattr(arguments, flag.replace("-", "_"))


def parse_unsigned(flag: str, text: str) -> int:
    return parse_integer(flag, text, signed=False)


def parse_signed(flag: str, text: str) -> int:
    return parse_integer(flag, text, signed=True)
