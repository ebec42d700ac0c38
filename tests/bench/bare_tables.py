"""config.json as C tables for bare.c: what a runtime reads, checks and translates, done before the clock runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# option of mount(8) -> flag of mount(2)
FLAGS = {
    "ro": "MS_RDONLY",
    "nosuid": "MS_NOSUID",
    "nodev": "MS_NODEV",
    "noexec": "MS_NOEXEC",
    "relatime": "MS_RELATIME",
    "strictatime": "MS_STRICTATIME",
    "rbind": "MS_BIND | MS_REC",
}
NAMESPACES = {"mount": "NS", "pid": "PID", "network": "NET", "ipc": "IPC", "uts": "UTS", "cgroup": "CGROUP"}
BITS = {"CAP_KILL": 5, "CAP_NET_BIND_SERVICE": 10, "CAP_AUDIT_WRITE": 29}  # linux/capability.h
# runc's rules for "deny all": everything may be made, what /dev has may be used
DEVICES = (
    "c *:* m|b *:* m|c 1:3 rwm|c 1:8 rwm|c 1:7 rwm|c 5:0 rwm|c 1:5 rwm|c 1:9 rwm|c 136:* rwm|c 5:2 rwm|c 10:200 rwm"
)


class Hierarchy(NamedTuple):
    """name: of the mount in /sys/fs/cgroup; parent: the directory that containers' cgroups are made in."""

    name: str
    parent: str


def text(value: str | None) -> str:
    """A C string."""
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def table(kind: str, name: str, rows: Iterable[str]) -> str:
    return f"static const {kind} {name}[] = {{\n" + "".join(f"\t{row},\n" for row in rows) + "};\n"


def mount_row(mount: dict[str, Any], version: int) -> str:
    """One struct mount.  The flags of a bind mount take a remount (mount(2), "Creating a bind mount")."""
    options = list(mount.get("options", []))
    kind, source = mount["type"], mount["source"]
    if kind == "cgroup":  # version 1: a tmpfs that bare.c fills, and makes read-only then
        kind, source = ("cgroup2", "cgroup2") if version == 2 else ("tmpfs", "tmpfs")
        options = options if version == 2 else [name for name in options if name != "ro"] + ["mode=755"]
    flags = [FLAGS[name] for name in options if name in FLAGS and name != "rbind"]
    data = ",".join(name for name in options if name not in FLAGS) or None
    first, again = " | ".join(flags) or "0", "0"
    if "rbind" in options:
        first, again, kind = FLAGS["rbind"], first, None
    return f"{{{text(source)}, {text(mount['destination'][1:])}, {text(kind)}, {first}, {again}, {text(data)}}}"


def setting_rows(hierarchies: Sequence[Hierarchy], devices: bool) -> Iterable[str]:
    """Version 1: an empty cpuset lets nobody in (cpuset(7)); the rules of devices."""
    for number, hierarchy in enumerate(hierarchies):
        if "cpuset" in hierarchy.name.split(","):
            for file in ("cpuset.cpus", "cpuset.mems"):
                with open(os.path.join(hierarchy.parent, file)) as opened:
                    yield f"{{{number}, {text(file)}, {text(opened.read().strip())}}}"
        if devices and "devices" in hierarchy.name.split(","):
            yield f'{{{number}, "devices.deny", "a"}}'
            for rule in DEVICES.split("|"):
                yield f'{{{number}, "devices.allow", {text(rule)}}}'
    yield "{0, NULL, NULL}"


def header(
    configs: tuple[dict[str, Any], dict[str, Any]],
    version: int,
    hierarchies: Sequence[Hierarchy],
    seccomp: tuple[bytes, int],
) -> str:
    """configs: with the long and the short process; seccomp: struct sock_filter[] or b"", and the flags."""
    config, short = configs
    linux = config["linux"]
    kept = sum(1 << BITS[name] for name in config["process"]["capabilities"]["bounding"])
    with open("/proc/sys/kernel/cap_last_cap") as opened:
        last = int(opened.read())
    instructions, flags = seccomp
    words = [instructions[at : at + 8] for at in range(0, len(instructions), 8)] or [bytes(8)]
    number = int.from_bytes
    return "".join(
        (
            "/* made by bare_tables.py */\n",
            f"#define UNIFIED {int(version == 2)}\n",
            f"#define ROOTFS {text(config['root']['path'])}\n",
            f"#define CAPABILITIES {kept:#x}ull\n#define LAST_CAPABILITY {last}\n",
            f"#define FILTER_FLAGS {flags}\n",
            f"#define NAMESPACES ({' | '.join('CLONE_NEW' + NAMESPACES[n['type']] for n in linux['namespaces'])})\n",
            table("char *const", "LONG", [*map(text, config["process"]["args"]), "NULL"]),
            table("char *const", "SHORT", [*map(text, short["process"]["args"]), "NULL"]),
            table("struct mount", "MOUNTS", [mount_row(mount, version) for mount in config["mounts"]]),
            table("char *const", "MASKED", [text(path[1:]) for path in linux["maskedPaths"]]),
            table("char *const", "READONLY", [text(path[1:]) for path in linux["readonlyPaths"]]),
            table("struct cgroup", "CGROUPS", [f"{{{text(h.parent)}, {text(h.name)}}}" for h in hierarchies]),
            table("struct setting", "SETTINGS", setting_rows(hierarchies, "resources" in linux)),
            table(
                "struct sock_filter",
                "FILTER",
                [f"{{{number(w[:2], 'little')}, {w[2]}, {w[3]}, {number(w[4:], 'little')}u}}" for w in words],
            ),
        )
    )
