"""Mutants that read config.json wrongly: what they make of it before the real runtime sees it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Config = dict[str, Any]
    Edit = Callable[[Config], object]

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
GROUPS = {
    "sync": ("sync", "async", "dirsync"),
    "atime": ("atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime"),
    "nodev-noexec-nosuid": ("nodev", "noexec", "nosuid"),
    "lazytime": ("lazytime",),
    "ro": ("ro",),
    "propagation": tuple(f"{r}{word}" for r in ("", "r") for word in ("shared", "slave", "private", "unbindable")),
    "nosymfollow": ("nosymfollow",),
    "recursive": ("rro", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnodiratime", "rstrictatime", "rnosymfollow"),
    "idmap": ("idmap", "ridmap"),
}


def linux(config: Config) -> Config:
    return config.setdefault("linux", {})


def process(config: Config) -> Config:
    return config.get("process", {})


def drop(*path: str) -> Edit:
    """Leave one property out."""

    def edit(config: Config) -> None:
        place: Any = config
        for name in path[:-1]:
            place = place.get(name) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(path[-1], None)

    return edit


def put(*path: str, value: Any, only_without: bool = False) -> Edit:
    """Write a value over whatever is there, or only where nothing is."""

    def edit(config: Config) -> None:
        place = config
        for name in path[:-1]:
            place = place.setdefault(name, {})
        if not only_without or not place.get(path[-1]):
            place[path[-1]] = value

    return edit


def each(*path: str) -> Callable[[Callable[[Any], Any]], Edit]:
    """Map a function over a list; what it maps to None goes."""

    def of(function: Callable[[Any], Any]) -> Edit:
        def edit(config: Config) -> None:
            place: Any = config
            for name in path[:-1]:
                place = place.get(name, {})
            if isinstance(place.get(path[-1]), list):
                place[path[-1]] = [new for old in place[path[-1]] if (new := function(old)) is not None]

        return edit

    return of


def without_options(*words: str) -> Edit:
    def edit(row: Config) -> Config:
        return row | {"options": [word for word in row.get("options", []) if word not in words]}

    return each("mounts")(edit)


def only_flags(row: Config) -> Config:
    """Forget what is for the file system."""
    if row["destination"] != "/mnt":
        return row
    return row | {"options": [word for word in row.get("options", []) if "=" not in word]}


def unique(*path: str, key: str) -> Edit:
    """Keep the first of those that are the same."""

    def edit(config: Config) -> None:
        place: Any = config
        for name in path[:-1]:
            place = place.get(name, {})
        rows = {}
        for row in place.get(path[-1], []):
            rows.setdefault(row.get(key), row)
        place[path[-1]] = list(rows.values())

    return edit


def hooks_to(source: str, target: str) -> Edit:
    """Run hooks of one kind as those of another."""

    def edit(config: Config) -> None:
        hooks = config.get("hooks", {})
        hooks[target] = [*hooks.get(target, []), *hooks.pop(source, [])]

    return edit


def every_hook(function: Callable[[Config], object]) -> Edit:
    def edit(config: Config) -> None:
        for rows in config.get("hooks", {}).values():
            for row in rows:
                function(row)

    return edit


def reverse_hooks(config: Config) -> None:
    for rows in config.get("hooks", {}).values():
        rows.reverse()


def no_stdin(*kinds: str) -> Edit:
    """Hooks read /dev/null."""

    def edit(config: Config) -> None:
        for kind in kinds:
            for row in config.get("hooks", {}).get(kind, []):
                words = [row["path"], *row.get("args", [])[1:]]
                row.update(path="/bin/sh", args=["sh", "-c", 'exec "$@" </dev/null', "sh", *words])

    return edit


def absolute_hooks(row: Config) -> None:
    if not row.get("path", "").startswith("/"):
        row["path"] = "/bin/true"


def swapped_capabilities(config: Config) -> None:
    """One set for all."""
    sets = process(config).get("capabilities")
    if sets:
        process(config)["capabilities"] = dict.fromkeys((*sets, "inheritable"), sets["bounding"])


def one_rule_each(rules: list[Config]) -> list[Config]:
    """Denials first, as if the order did not matter."""
    return sorted(rules, key=lambda rule: rule.get("allow", False))


def sorted_devices(config: Config) -> None:
    resources = linux(config).get("resources", {})
    resources["devices"] = one_rule_each(resources.get("devices", []))


def allowed_by_default(rule: Config) -> Config:
    return {"allow": True} | rule


def of_resources(name: str) -> Edit:
    return drop("linux", "resources", name)


def text_path(config: Config) -> None:
    path = linux(config).get("cgroupsPath")
    if not isinstance(path, str) or "\0" in path:
        linux(config).pop("cgroupsPath")


def elsewhere(config: Config) -> None:
    linux(config)["cgroupsPath"] = "/duties-mutant" + linux(config).get("cgroupsPath", "")


def seccomp_rules(keep: Callable[[Config], bool]) -> Edit:
    def edit(config: Config) -> None:
        profile = linux(config).get("seccomp", {})
        profile["syscalls"] = [rule for rule in profile.get("syscalls", []) if keep(rule)]

    return edit


def is_complete(rule: Config) -> bool:
    arguments = rule.get("args", [])
    return {"names", "action"} <= set(rule) and all({"index", "value", "op"} <= set(one) for one in arguments)


def no_errno_of_rules(config: Config) -> None:
    for rule in linux(config).get("seccomp", {}).get("syscalls", []):
        rule.pop("errnoRet", None)


def annotations_as_text(config: Config) -> None:
    if isinstance(config.get("annotations"), dict):
        config["annotations"] = {key: str(value) for key, value in config["annotations"].items()}
    else:
        config["annotations"] = {}


def no_empty_annotation(config: Config) -> None:
    config.get("annotations", {}).pop("", None)


def smaller_maps(config: Config) -> None:
    for name in ("uidMappings", "gidMappings"):
        for row in linux(config).get(name, []):
            row["size"] = max(row.get("size", 1) - 1, 1)


def filled_maps(config: Config) -> None:
    for name in ("uidMappings", "gidMappings"):
        for row in linux(config).get(name, []):
            row.setdefault("containerID", 0)
            row.setdefault("hostID", 100000)
            row.setdefault("size", 1)


def filled_rlimits(row: Config) -> Config:
    return {"type": "RLIMIT_CORE", "soft": 0, "hard": 0} | row


def known_rlimits(row: Config) -> Config | None:
    return row if row.get("type", "").startswith("RLIMIT_") and "FOO" not in row["type"] else None


def soft_as_hard(row: Config) -> Config:
    return row | {"soft": row.get("hard", 0)}


def hard_as_soft(row: Config) -> Config:
    return row | {"hard": row.get("soft", 0)}


def known_namespaces(row: Config) -> Config | None:
    known = ("pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time")
    return row if row.get("type") in known else None


def absolute_namespaces(row: Config) -> Config:
    return row if row.get("path", "/").startswith("/") else {"type": row["type"]}


def new_namespaces(row: Config) -> Config:
    return {"type": row.get("type")}


def more_namespaces(config: Config) -> None:
    """New ones that nobody asked for."""
    rows = linux(config)["namespaces"]
    rows += [{"type": kind} for kind in ("ipc", "cgroup", "time") if kind not in [row["type"] for row in rows]]


def some_namespaces(*kinds: str) -> Edit:
    return each("linux", "namespaces")(lambda row: None if row.get("type") in kinds else row)


def filled_devices(row: Config) -> Config:
    return {"type": "c", "path": "/dev/x", "major": 0, "minor": 0} | row


def other_mode(row: Config) -> Config:
    return row | {"fileMode": 0o777}


def absolute(path: str) -> str | None:
    return path if path.startswith("/") else None


def outer_pid(config: Config) -> None:
    """Hooks in the container are told another pid than theirs."""
    for kind in ("createContainer", "startContainer"):
        for row in config.get("hooks", {}).get(kind, []):
            words = [row["path"], *row.get("args", [])[1:]]
            script = """/bin/sed 's/"pid": *1/"pid":4242/' | exec "$@\""""
            row.update(path="/bin/sh", args=["sh", "-c", script, "sh", *words])


def no_idmap_without_mappings(row: Config) -> Config:
    """Neither the container's mapping nor an error."""
    if "uidMappings" in row:
        return row
    return row | {"options": [word for word in row.get("options", []) if "idmap" not in word]}


def cgroup_of_the_hour(config: Config) -> None:
    linux(config)["cgroupsPath"] = f"{linux(config).get('cgroupsPath', '')}-{os.getpid()}"


def root_of_nowhere(config: Config) -> None:
    config["root"] = {"path": "rootfs"} | (config.get("root") or {})
    if not config["root"]["path"]:
        config["root"]["path"] = "rootfs"


def known_throttles(config: Config) -> None:
    for name, rows in linux(config).get("resources", {}).get("blockIO", {}).items():
        if name.startswith("throttle"):
            rows[:] = [row for row in rows if {"major", "minor", "rate"} <= set(row)]


def clamped_burst(config: Config) -> None:
    cpu = linux(config).get("resources", {}).get("cpu", {})
    if "burst" in cpu and "quota" in cpu:
        cpu["burst"] = min(cpu["burst"], cpu["quota"])


def unlimited_pids(config: Config) -> None:
    pids = linux(config).get("resources", {}).get("pids", {})
    if pids.get("limit") == 0:
        pids["limit"] = -1


def semantic(config: Config) -> None:
    if config.get("ociVersion") not in ("1.0.0", "1.0.2"):
        config["ociVersion"] = "1.0.2"


def given_process(config: Config) -> None:
    config.setdefault("process", {"cwd": "/", "args": ["/bin/true"], "user": {"uid": 0, "gid": 0}})


def absolute_cwd(config: Config) -> None:
    if not process(config).get("cwd", "").startswith("/"):
        process(config)["cwd"] = "/"


def known_capabilities(config: Config) -> None:
    """Silently without what is unknown."""
    for names in process(config).get("capabilities", {}).values():
        names[:] = [name for name in names if name not in ("CAP_NOBODY_KNOWS", "CAP_SYS_TIME")]


def plain_values(config: Config) -> None:
    """Take what is of the wrong type for absent."""
    config["root"] = {"path": config["root"]["path"]}
    user = process(config).get("user", {})
    for name in ("uid", "gid"):
        if not isinstance(user.get(name), int) or not 0 <= user[name] < 1 << 32:
            user[name] = 0


EDITS: dict[str, Edit] = {
    # properties that are ignored
    "ignores-masked-paths": drop("linux", "maskedPaths"),
    "ignores-readonly-paths": drop("linux", "readonlyPaths"),
    "ignores-readonly-root": put("root", "readonly", value=False),
    "ignores-no-new-privileges": put("process", "noNewPrivileges", value=False),
    "always-no-new-privileges": put("process", "noNewPrivileges", value=True),
    "ignores-umask": drop("process", "user", "umask"),
    "ignores-rlimits": drop("process", "rlimits"),
    "ignores-oom-score": drop("process", "oomScoreAdj"),
    "sets-oom-score": put("process", "oomScoreAdj", value=0, only_without=True),
    "ignores-groups": drop("process", "user", "additionalGids"),
    "ignores-user": put("process", "user", "uid", value=0),
    "ignores-hostname": drop("hostname"),
    "ignores-domainname": drop("domainname"),
    "ignores-annotations": drop("annotations"),
    "ignores-sysctl": drop("linux", "sysctl"),
    "ignores-propagation-of-root": drop("linux", "rootfsPropagation"),
    "ignores-personality": drop("linux", "personality"),
    "ignores-memory-policy": drop("linux", "memoryPolicy"),
    "ignores-apparmor": drop("process", "apparmorProfile"),
    "ignores-seccomp": drop("linux", "seccomp"),
    "ignores-scheduler": drop("process", "scheduler"),
    "ignores-io-priority": drop("process", "ioPriority"),
    "ignores-time-offsets": drop("linux", "timeOffsets"),
    "ignores-intel-rdt": drop("linux", "intelRdt"),
    "ignores-devices": drop("linux", "devices"),
    "ignores-memory": of_resources("memory"),
    "ignores-kernel-tcp": drop("linux", "resources", "memory", "kernelTCP"),
    "ignores-cpu": of_resources("cpu"),
    "ignores-burst": drop("linux", "resources", "cpu", "burst"),
    "ignores-block-io": of_resources("blockIO"),
    "ignores-pids": of_resources("pids"),
    "ignores-huge-pages": of_resources("hugepageLimits"),
    "ignores-network-priorities": of_resources("network"),
    "ignores-rdma": of_resources("rdma"),
    "ignores-unified": of_resources("unified"),
    "ignores-device-rules": put("linux", "resources", "devices", value=[{"allow": True, "access": "rwm"}]),
    "ignores-path-variable": put("process", "env", value=["PATH=/nowhere"]),
    # mounts
    "mounts-backwards": lambda config: config["mounts"].reverse(),
    "mounts-relative-elsewhere": each("mounts")(
        lambda row: (
            row if row.get("destination", "/")[:1] == "/" else row | {"destination": "/tmp/" + row["destination"]}
        )
    ),
    "mounts-without-destination": each("mounts")(lambda row: {"destination": "/mnt"} | row),
    "binds-recursively": each("mounts")(
        lambda row: row | {"options": ["rbind" if word == "bind" else word for word in row.get("options", [])]}
    ),
    "binds-flat": each("mounts")(
        lambda row: row | {"options": ["bind" if word == "rbind" else word for word in row.get("options", [])]}
    ),
    "defaults-is-read-only": each("mounts")(
        lambda row: row | {"options": ["ro" if word == "defaults" else word for word in row.get("options", [])]}
    ),
    "ignores-remounts": each("mounts")(lambda row: None if "remount" in row.get("options", []) else row),
    "ignores-data-of-mounts": each("mounts")(only_flags),
    "ignores-mappings-of-mounts": each("mounts")(
        lambda row: (
            {key: value for key, value in row.items() if not key.endswith("Mappings")}
            | {"options": [word for word in row.get("options", []) if "idmap" not in word]}
        )
    ),
    **{f"ignores-{name}": without_options(*words) for name, words in GROUPS.items()},
    # hooks
    **{f"ignores-{kind}": drop("hooks", kind) for kind in KINDS},
    "hooks-backwards": reverse_hooks,
    "hooks-without-stdin": no_stdin(*KINDS),
    "hooks-of-containers-without-stdin": no_stdin("createContainer", "startContainer"),
    "hooks-without-timeout": every_hook(lambda row: row.pop("timeout", None)),
    "hooks-take-relative-paths": every_hook(absolute_hooks),
    "hooks-late-prestart": hooks_to("prestart", "createRuntime"),
    "hooks-prestart-at-start": hooks_to("prestart", "poststart"),
    "hooks-create-runtime-inside": hooks_to("createRuntime", "createContainer"),
    "hooks-create-runtime-at-start": hooks_to("createRuntime", "poststart"),
    "hooks-create-container-outside": hooks_to("createContainer", "createRuntime"),
    "hooks-create-container-at-start": hooks_to("createContainer", "startContainer"),
    "hooks-start-container-at-create": hooks_to("startContainer", "createContainer"),
    "hooks-start-container-late": hooks_to("startContainer", "poststart"),
    "hooks-poststart-early": hooks_to("poststart", "createRuntime"),
    "hooks-poststop-early": hooks_to("poststop", "poststart"),
    "hooks-inside-get-the-outer-pid": outer_pid,
    # nonsense that is taken
    "takes-relative-masks": each("linux", "maskedPaths")(absolute),
    "takes-relative-readonly-paths": each("linux", "readonlyPaths")(absolute),
    "takes-no-version": put("ociVersion", value="1.0.2", only_without=True),
    "takes-any-version": semantic,
    "takes-no-root": root_of_nowhere,
    "takes-no-process": given_process,
    "takes-no-arguments": put("process", "args", value=["true"], only_without=True),
    "takes-relative-cwd": absolute_cwd,
    "takes-half-console-size": drop("process", "consoleSize"),
    "takes-half-rlimits": each("process", "rlimits")(filled_rlimits),
    "takes-unknown-rlimits": each("process", "rlimits")(known_rlimits),
    "takes-rlimits-twice": unique("process", "rlimits", key="type"),
    "soft-limit-is-hard": each("process", "rlimits")(soft_as_hard),
    "hard-limit-is-soft": each("process", "rlimits")(hard_as_soft),
    "takes-annotations-of-any-type": annotations_as_text,
    "takes-empty-annotation": no_empty_annotation,
    "takes-any-value": plain_values,
    "takes-unknown-namespaces": each("linux", "namespaces")(known_namespaces),
    "takes-relative-namespaces": each("linux", "namespaces")(absolute_namespaces),
    "takes-namespaces-twice": unique("linux", "namespaces", key="type"),
    "takes-half-mappings": filled_maps,
    "takes-half-devices": each("linux", "devices")(filled_devices),
    "takes-rules-without-allow": each("linux", "resources", "devices")(allowed_by_default),
    "takes-any-cgroups-path": text_path,
    "takes-half-throttles": known_throttles,
    "takes-weightless-devices": drop("linux", "resources", "blockIO", "weightDevice"),
    "takes-too-much-burst": clamped_burst,
    "takes-no-default-action": put("linux", "seccomp", "defaultAction", value="SCMP_ACT_ALLOW", only_without=True),
    "takes-default-errno": drop("linux", "seccomp", "defaultErrnoRet"),
    "takes-errno": no_errno_of_rules,
    "takes-empty-names": seccomp_rules(lambda rule: bool(rule.get("names", True))),
    "takes-half-rules": seccomp_rules(is_complete),
    "takes-metadata-alone": drop("linux", "seccomp", "listenerMetadata"),
    "no-word-about-capabilities": known_capabilities,
    "takes-idmap-without-mappings": each("mounts")(no_idmap_without_mappings),
    # other effects
    "runs-something-else": put("process", "args", value=["/bin/true"]),
    "ignores-cwd": put("process", "cwd", value="/"),
    "cgroup-of-the-hour": cgroup_of_the_hour,
    "does-not-know-nomand": each("mounts")(
        lambda row: row | {"options": ["nosuchword" if word == "nomand" else word for word in row.get("options", [])]}
    ),
    "one-capability-set-for-all": swapped_capabilities,
    "device-mode-is-777": each("linux", "devices")(other_mode),
    "sorts-device-rules": sorted_devices,
    "no-limit-for-zero-pids": unlimited_pids,
    "cgroup-elsewhere": elsewhere,
    "maps-one-id-less": smaller_maps,
    "joins-no-namespace": each("linux", "namespaces")(new_namespaces),
    "makes-too-many-namespaces": more_namespaces,
    "makes-no-ipc-namespace": some_namespaces("ipc"),
    "makes-no-time-namespace": some_namespaces("time"),
    "mounts-no-shm": each("mounts")(lambda row: None if row.get("destination") == "/dev/shm" else row),
}
