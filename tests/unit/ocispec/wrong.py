"""Wrong configs, each with the place and the words of its error: for the reader and for the schema alike.

VALUES: one value is wrong by itself.  (place to put it, value, where the error is, what it says)
RULES: two values do not go together.  name -> (wrong config, right config, where, what, whether the schema knows)
"""

from __future__ import annotations

from typing import Any

from unit.ocispec.minimal import config_with, config_without, minimal

NUL = "a\0b"
HALF = "a\ud800b"
ID = {"containerID": 0, "hostID": 0, "size": 1}

VALUES: list[tuple[str, object, str, str]] = [
    # types
    ("ociVersion", 1.3, "ociVersion", "must be a string, not 1.3"),
    ("ociVersion", None, "ociVersion", "is missing"),
    ("ociVersion", "", "ociVersion", "must not be empty"),
    ("ociVersion", "1.3", "ociVersion", 'must be a version such as 1.3.0, not "1.3"'),
    ("ociVersion", "invalid", "ociVersion", 'must be a version such as 1.3.0, not "invalid"'),
    ("ociVersion", "1.03.0", "ociVersion", 'must be a version such as 1.3.0, not "1.03.0"'),
    ("ociVersion", "1.0.0-", "ociVersion", 'must be a version such as 1.3.0, not "1.0.0-"'),
    ("ociVersion", "0.9.0", "ociVersion", 'only 1.x is known, not "0.9.0"'),
    ("ociVersion", "2.0.0", "ociVersion", 'only 1.x is known, not "2.0.0"'),
    ("root", "rootfs", "root", 'must be an object, not "rootfs"'),
    ("root", None, "root", "is missing"),
    ("root", {}, "root.path", "is missing"),
    ("root", {"path": ""}, "root.path", "must not be empty"),
    ("root", {"path": ["rootfs"]}, "root.path", "must be a string, not a list"),
    ("root.readonly", 1, "root.readonly", "must be true or false, not 1"),
    ("root.readonly", "true", "root.readonly", 'must be true or false, not "true"'),
    ("process", [], "process", "must be an object, not a list"),
    ("process.args", "sh", "process.args", 'must be a list of strings, not "sh"'),
    ("process.args", [], "process.args", "must have at least one entry"),
    ("process.args", None, "process.args", "is missing"),
    ("process.args", ["sh", 7], "process.args[1]", "must be a string, not 7"),
    ("process.args", ["sh", None], "process.args[1]", "must be a string, not null"),
    ("process.args", [""], "process.args[0]", "must not be empty"),
    ("process.args", [NUL], "process.args[0]", 'must not hold a NUL character: "a\\x00b"'),
    ("process.args", [HALF], "process.args[0]", 'must not hold half a surrogate pair: "a\\ud800b"'),
    ("process.cwd", None, "process.cwd", "is missing"),
    ("process.cwd", "tmp", "process.cwd", 'must be an absolute path, not "tmp"'),
    ("process.cwd", "/\0", "process.cwd", 'must not hold a NUL character: "/\\x00"'),
    ("process.terminal", "yes", "process.terminal", 'must be true or false, not "yes"'),
    ("process.consoleSize", {"height": 1}, "process.consoleSize.width", "is missing"),
    ("process.consoleSize", {"height": -1, "width": 1}, "process.consoleSize.height", "must be from 0 to"),
    ("process.user", {"uid": -1}, "process.user.uid", "must be from 0 to 4294967294, not -1"),
    ("process.user", {"uid": 4294967295}, "process.user.uid", "must be from 0 to 4294967294, not 4294967295"),
    ("process.user", {"uid": True}, "process.user.uid", "must be an integer, not true"),
    ("process.user", {"uid": "0"}, "process.user.uid", 'must be an integer, not "0"'),
    ("process.user", {"gid": 0.5}, "process.user.gid", "must be an integer, not 0.5"),
    ("process.user", {"gid": 2**80}, "process.user.gid", "not a number of more than 64 bits"),
    ("process.user", {"umask": 512}, "process.user.umask", "must be from 0 to 511, not 512"),
    ("process.user", {"additionalGids": [1, -1]}, "process.user.additionalGids[1]", "must be from 0 to"),
    ("process.user", {"additionalGids": ["wheel"]}, "process.user.additionalGids[0]", "must be an integer"),
    ("process.env", ["A=b", "HOME"], "process.env[1]", 'must have the form NAME=value, not "HOME"'),
    ("process.env", ["=x"], "process.env[0]", 'must have the form NAME=value, not "=x"'),
    ("process.env", {"A": "b"}, "process.env", "must be a list of strings, not an object"),
    ("process.capabilities", {"bounding": "CAP_KILL"}, "process.capabilities.bounding", "must be a list of strings"),
    ("process.capabilities", ["CAP_KILL"], "process.capabilities", "must be an object, not a list"),
    (
        "process.rlimits",
        [{"type": "RLIMIT_NOFILES", "soft": 1, "hard": 1}],
        "process.rlimits[0].type",
        "RLIMIT_NOFILE?",
    ),
    ("process.rlimits", [{"type": "RLIMIT_CPU", "soft": 1}], "process.rlimits[0].hard", "is missing"),
    ("process.rlimits", [{"type": "RLIMIT_CPU", "soft": -1, "hard": 1}], "process.rlimits[0].soft", "must be from 0"),
    ("process.rlimits", [7], "process.rlimits[0]", "must be an object, not 7"),
    ("process.oomScoreAdj", 1001, "process.oomScoreAdj", "must be from -1000 to 1000, not 1001"),
    ("process.noNewPrivileges", 0, "process.noNewPrivileges", "must be true or false, not 0"),
    ("process.apparmorProfile", 0, "process.apparmorProfile", "must be a string, not 0"),
    ("process.selinuxLabel", False, "process.selinuxLabel", "must be a string, not false"),
    ("process.scheduler", {}, "process.scheduler.policy", "is missing"),
    ("process.scheduler", {"policy": "SCHED_EXT"}, "process.scheduler.policy", "must be one of SCHED_OTHER"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice", "must be from -20 to 19"),
    (
        "process.scheduler",
        {"policy": "SCHED_FIFO", "priority": 1, "flags": ["RESET"]},
        "process.scheduler.flags[0]",
        "must be one of SCHED_FLAG_RESET_ON_FORK",
    ),
    ("process.ioPriority", {"class": "RT"}, "process.ioPriority.class", "must be one of IOPRIO_CLASS_RT"),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_RT", "priority": 8}, "process.ioPriority.priority", "0 to 7, not 8"),
    ("process.execCPUAffinity", {"initial": "a"}, "process.execCPUAffinity.initial", "must be a list of processors"),
    ("hostname", 7, "hostname", "must be a string, not 7"),
    ("hostname", "h" * 65, "hostname", "must be at most 64 bytes"),
    ("domainname", "d\0", "domainname", "must not hold a NUL character"),
    ("mounts", {}, "mounts", "must be a list of objects, not an object"),
    ("mounts", [{"destination": 7}], "mounts[0].destination", "must be a string, not 7"),
    ("mounts", [{"destination": "/a"}, {"source": "x"}], "mounts[1].destination", "is missing"),
    ("mounts", [{"destination": "/a", "options": "ro"}], "mounts[0].options", 'must be a list of strings, not "ro"'),
    ("mounts", [{"destination": "/a", "options": ["ro", 0]}], "mounts[0].options[1]", "must be a string, not 0"),
    ("mounts", [{"destination": "/a", "uidMappings": [{}]}], "mounts[0].uidMappings[0].containerID", "is missing"),
    ("hooks", [], "hooks", "must be an object, not a list"),
    ("hooks", {"prestart": [{"path": "true"}]}, "hooks.prestart[0].path", 'must be an absolute path, not "true"'),
    ("hooks", {"poststop": [{}]}, "hooks.poststop[0].path", "is missing"),
    ("hooks", {"poststop": [{"path": "/x", "timeout": 0}]}, "hooks.poststop[0].timeout", "must be from 1 to"),
    ("hooks", {"createRuntime": {"path": "/x"}}, "hooks.createRuntime", "must be a list of objects, not an object"),
    ("annotations", {"a": 1}, 'annotations["a"]', "must be a string, not 1"),
    ("annotations", {"": "x"}, "annotations", "must not have an empty key"),
    ("annotations", {"a\0": "x"}, 'annotations["a\\x00"]', "must not hold a NUL character"),
    ("annotations", ["a"], "annotations", "must be an object, not a list"),
    # linux
    ("linux", "x", "linux", 'must be an object, not "x"'),
    ("linux.namespaces", [{"path": "/x"}], "linux.namespaces[0].type", "is missing"),
    ("linux.namespaces", [{"type": "net"}], "linux.namespaces[0].type", "must be one of pid, network"),
    ("linux.namespaces", [{"type": "uts", "path": "x"}], "linux.namespaces[0].path", "must be an absolute path"),
    ("linux.uidMappings", [{**ID, "size": 0}], "linux.uidMappings[0].size", "must be from 1 to 4294967295, not 0"),
    ("linux.gidMappings", [{**ID, "hostID": -1}], "linux.gidMappings[0].hostID", "must be from 0 to 4294967294"),
    ("linux.timeOffsets", {"realtime": {}}, 'linux.timeOffsets["realtime"]', "must be one of monotonic, boottime"),
    ("linux.timeOffsets", {"boottime": 5}, 'linux.timeOffsets["boottime"]', "must be an object, not 5"),
    (
        "linux.timeOffsets",
        {"boottime": {"nanosecs": 10**9}},
        'linux.timeOffsets["boottime"].nanosecs',
        "must be from 0 to 999999999",
    ),
    ("linux.devices", [{"type": "x", "path": "/dev/x"}], "linux.devices[0].type", "must be one of c, b, u, p"),
    ("linux.devices", [{"type": "p", "path": "dev/x"}], "linux.devices[0].path", "must be an absolute path"),
    ("linux.devices", [{"type": "c", "path": "/x", "major": 4096}], "linux.devices[0].major", "from 0 to 4095"),
    ("linux.devices", [{"type": "p", "path": "/x", "fileMode": "0666"}], "linux.devices[0].fileMode", "an integer"),
    ("linux.netDevices", {"eth0": "x"}, 'linux.netDevices["eth0"]', 'must be an object, not "x"'),
    ("linux.netDevices", {"a/b": {}}, 'linux.netDevices["a/b"]', "is no name of an interface"),
    ("linux.netDevices", {"e": {"name": "x" * 16}}, 'linux.netDevices["e"].name', "is no name of an interface"),
    ("linux.cgroupsPath", 1, "linux.cgroupsPath", "must be a string, not 1"),
    ("linux.rootfsPropagation", "rshare", "linux.rootfsPropagation", "(did you mean rshared?)"),
    ("linux.maskedPaths", ["/x", "y"], "linux.maskedPaths[1]", 'must be an absolute path, not "y"'),
    ("linux.readonlyPaths", [""], "linux.readonlyPaths[0]", 'must be an absolute path, not ""'),
    ("linux.mountLabel", {}, "linux.mountLabel", "must be a string, not an object"),
    ("linux.personality", {"domain": "BSD"}, "linux.personality.domain", "must be one of LINUX, LINUX32"),
    ("linux.personality", {"domain": "LINUX", "flags": ["X"]}, "linux.personality.flags", "must be empty"),
    ("linux.sysctl", {"net.x": 1}, 'linux.sysctl["net.x"]', "must be a string, not 1"),
    ("linux.intelRdt", {"closID": "a/b"}, "linux.intelRdt.closID", "a name without a slash"),
    ("linux.intelRdt", {"closID": ".."}, "linux.intelRdt.closID", "a name without a slash"),
    ("linux.intelRdt", {"schemata": ["L3:0=f\nMB:0=1"]}, "linux.intelRdt.schemata[0]", "must be one line"),
    ("linux.intelRdt", {"l3CacheSchema": "L3:0=f\n"}, "linux.intelRdt.l3CacheSchema", "must be one line"),
    ("linux.memoryPolicy", {}, "linux.memoryPolicy.mode", "is missing"),
    ("linux.memoryPolicy", {"mode": "BIND"}, "linux.memoryPolicy.mode", "must be one of MPOL_DEFAULT"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "x"}, "linux.memoryPolicy.nodes", "node list"),
    (
        "linux.memoryPolicy",
        {"mode": "MPOL_BIND", "nodes": "0", "flags": ["F"]},
        "linux.memoryPolicy.flags[0]",
        "must be one of MPOL_F_",
    ),
    # seccomp
    ("linux.seccomp", {}, "linux.seccomp.defaultAction", "is missing"),
    ("linux.seccomp", {"defaultAction": "ALLOW"}, "linux.seccomp.defaultAction", "must be one of SCMP_ACT_KILL"),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["x86_64"]},
        "linux.seccomp.architectures[0]",
        "must be one of SCMP_ARCH_X86",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["TSYNC"]},
        "linux.seccomp.flags[0]",
        "must be one of SECCOMP_FILTER_FLAG_TSYNC",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 65536},
        "linux.seccomp.defaultErrnoRet",
        "must be from 0 to 65535",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_KILL"}]},
        "linux.seccomp.syscalls[0].names",
        "is missing",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_KILL"}]},
        "linux.seccomp.syscalls[0].names",
        "must have at least one entry",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read", ""], "action": "SCMP_ACT_KILL"}]},
        "linux.seccomp.syscalls[0].names[1]",
        "must not be empty",
    ),
    (
        "linux.seccomp",
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["a"], "action": "SCMP_ACT_KILL", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}
            ],
        },
        "linux.seccomp.syscalls[0].args[0].index",
        "must be from 0 to 5, not 6",
    ),
    (
        "linux.seccomp",
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["a"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": -1, "op": "EQ"}]}],
        },
        "linux.seccomp.syscalls[0].args[0].value",
        "must be from 0 to 18446744073709551615, not -1",
    ),
    # resources
    ("linux.resources", [], "linux.resources", "must be an object, not a list"),
    ("linux.resources.devices", [{}], "linux.resources.devices[0].allow", "is missing"),
    ("linux.resources.devices", [{"allow": True, "type": "p"}], "linux.resources.devices[0].type", "one of a, b, c"),
    ("linux.resources.devices", [{"allow": True, "access": "x"}], "linux.resources.devices[0].access", "made of r, w"),
    ("linux.resources.devices", [{"allow": True, "major": -2}], "linux.resources.devices[0].major", "from -1 to"),
    ("linux.resources.memory", {"limit": 2**63}, "linux.resources.memory.limit", "must be from -9223372036854775808"),
    ("linux.resources.memory", {"limit": "1G"}, "linux.resources.memory.limit", 'must be an integer, not "1G"'),
    ("linux.resources.memory", {"swappiness": 101}, "linux.resources.memory.swappiness", "must be from 0 to 100"),
    ("linux.resources.memory", {"disableOOMKiller": 0}, "linux.resources.memory.disableOOMKiller", "true or false"),
    ("linux.resources.cpu", {"shares": -1}, "linux.resources.cpu.shares", "must be from 0 to"),
    ("linux.resources.cpu", {"cpus": "0-3\n"}, "linux.resources.cpu.cpus", "must be a list of numbers"),
    ("linux.resources.cpu", {"mems": "all"}, "linux.resources.cpu.mems", "must be a list of numbers"),
    ("linux.resources.pids", {"limit": 1.0}, "linux.resources.pids.limit", "must be an integer, not 1.0"),
    ("linux.resources.blockIO", {"weight": 65536}, "linux.resources.blockIO.weight", "must be from 0 to 65535"),
    (
        "linux.resources.blockIO",
        {"weightDevice": [{"major": 8, "minor": 0}]},
        "linux.resources.blockIO.weightDevice[0]",
        "must have weight or leafWeight",
    ),
    (
        "linux.resources.blockIO",
        {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]},
        "linux.resources.blockIO.throttleReadBpsDevice[0].rate",
        "is missing",
    ),
    (
        "linux.resources.hugepageLimits",
        [{"pageSize": "../2MB", "limit": 1}],
        "linux.resources.hugepageLimits[0].pageSize",
        "must be a size such as 64KB",
    ),
    ("linux.resources.hugepageLimits", [{"pageSize": "2MB"}], "linux.resources.hugepageLimits[0].limit", "is missing"),
    ("linux.resources.network", {"classID": -1}, "linux.resources.network.classID", "must be from 0 to 4294967295"),
    (
        "linux.resources.network",
        {"priorities": [{"name": "eth0 1\n", "priority": 1}]},
        "linux.resources.network.priorities[0].name",
        "is no name of an interface",
    ),
    ("linux.resources.rdma", {"mlx5_0": {}}, 'linux.resources.rdma["mlx5_0"]', "must have hcaHandles or hcaObjects"),
    ("linux.resources.rdma", {"a b": {"hcaObjects": 1}}, 'linux.resources.rdma["a b"]', "is no name of a device"),
    ("linux.resources.unified", {"../x": "1"}, 'linux.resources.unified["../x"]', "without a slash"),
    ("linux.resources.unified", {"..": "1"}, 'linux.resources.unified[".."]', "without a slash"),
    ("linux.resources.unified", {"memory.high": 1}, 'linux.resources.unified["memory.high"]', "must be a string"),
]


def seccomp(**changes: Any) -> dict[str, Any]:
    rule = {"names": ["read"], "action": "SCMP_ACT_ERRNO"}
    return config_with("linux.seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **changes})


def joined(kind: str) -> dict[str, Any]:
    """The minimal config with one namespace joined by path."""
    document = minimal()
    for namespace in document["linux"]["namespaces"]:
        if namespace["type"] == kind:
            namespace["path"] = "/proc/1/ns/x"
    return document


def plus(document: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {**document, **keys}


def plus_linux(document: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {**document, "linux": {**document["linux"], **keys}}


def process(**keys: Any) -> dict[str, Any]:
    document = minimal()
    document["process"].update(keys)
    return document


MAP = [ID]
CPU = {"type": "RLIMIT_CPU", "soft": 1, "hard": 2}
NOTIFY = [{"names": ["bind"], "action": "SCMP_ACT_NOTIFY"}]
IDMAP = {"destination": "/a", "source": "/b", "options": ["bind", "idmap"]}
BIND = {"destination": "/a", "source": "/b", "options": ["bind"]}

RULES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str, bool]] = {
    "console size": (
        process(terminal=True, consoleSize={"height": 1, "width": 65536}),
        process(terminal=False, consoleSize={"height": 1, "width": 65536}),
        "process.consoleSize",
        "must be at most 65535 by 65535 characters",
        False,
    ),
    "rlimit twice": (
        process(rlimits=[CPU, CPU]),
        process(rlimits=[CPU, {**CPU, "type": "RLIMIT_NPROC"}]),
        "process.rlimits[1].type",
        "RLIMIT_CPU is given twice",
        False,
    ),
    "soft above hard": (
        process(rlimits=[{**CPU, "soft": 3}]),
        process(rlimits=[{**CPU, "soft": 2}]),
        "process.rlimits[0]",
        "soft limit 3 is above the hard limit 2",
        False,
    ),
    "priority of a policy without": (
        process(scheduler={"policy": "SCHED_BATCH", "priority": 1}),
        process(scheduler={"policy": "SCHED_RR", "priority": 1}),
        "process.scheduler.priority",
        "only SCHED_FIFO and SCHED_RR have one, not SCHED_BATCH",
        False,
    ),
    "no priority": (
        process(scheduler={"policy": "SCHED_FIFO"}),
        process(scheduler={"policy": "SCHED_FIFO", "priority": 99}),
        "process.scheduler.priority",
        "must be from 1 to 99 for SCHED_FIFO",
        False,
    ),
    "deadline of another policy": (
        process(scheduler={"policy": "SCHED_OTHER", "deadline": 5}),
        process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 5, "period": 6}),
        "process.scheduler.deadline",
        "only SCHED_DEADLINE has one, not SCHED_OTHER",
        False,
    ),
    "deadline below runtime": (
        process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 6, "deadline": 5}),
        process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 5, "deadline": 5}),
        "process.scheduler",
        "SCHED_DEADLINE needs 0 < runtime <= deadline <= period",
        False,
    ),
    "namespace twice": (
        plus_linux(minimal(), namespaces=[{"type": "pid"}, {"type": "pid"}], uidMappings=[], gidMappings=[]),
        plus_linux(minimal(), namespaces=[{"type": "pid"}, {"type": "uts"}], uidMappings=[], gidMappings=[]),
        "linux.namespaces[1].type",
        "pid is given twice",
        False,
    ),
    "hostname of the host": (
        plus(config_without("uts"), hostname="x"),
        plus(minimal(), hostname="x"),
        "hostname",
        "unable to set it without a private UTS namespace",
        False,
    ),
    "domainname of the host": (
        plus(config_without("uts"), domainname="x"),
        plus(joined("uts"), domainname="x"),
        "domainname",
        "unable to set it without a private UTS namespace",
        False,
    ),
    "uid mappings without user namespace": (
        plus_linux(config_without("user"), uidMappings=MAP),
        plus_linux(config_without("user"), uidMappings=[]),
        "linux.uidMappings",
        "user namespace isn't enabled",
        False,
    ),
    "gid mappings without user namespace": (
        plus_linux(config_without("user"), gidMappings=MAP),
        plus_linux(joined("user"), gidMappings=MAP),
        "linux.gidMappings",
        "user namespace isn't enabled",
        False,
    ),
    "user namespace without uid mappings": (
        plus_linux(minimal(), uidMappings=[]),
        plus_linux(joined("user"), uidMappings=[], gidMappings=[]),
        "linux.uidMappings",
        "user namespaces enabled, but no uid mappings found",
        False,
    ),
    "user namespace without gid mappings": (
        plus_linux(minimal(), gidMappings=[]),
        plus_linux(minimal(), gidMappings=MAP),
        "linux.gidMappings",
        "user namespaces enabled, but no gid mappings found",
        False,
    ),
    "time offsets without time namespace": (
        plus_linux(config_without("time"), timeOffsets={"boottime": {"secs": 1}}),
        plus_linux(minimal(), timeOffsets={"boottime": {"secs": 1}}),
        "linux.timeOffsets",
        "time namespace isn't enabled",
        False,
    ),
    "time offsets of a joined namespace": (
        plus_linux(joined("time"), timeOffsets={"boottime": {"secs": 1}}),
        joined("time"),
        "linux.timeOffsets",
        "must not be given for a time namespace joined by path",
        False,
    ),
    "network devices without network namespace": (
        plus_linux(config_without("network"), netDevices={"eth0": {}}),
        plus_linux(minimal(), netDevices={"eth0": {}}),
        "linux.netDevices",
        "without a private network namespace",
        False,
    ),
    "two network devices of one name": (
        plus_linux(minimal(), netDevices={"a": {"name": "c"}, "b": {"name": "c"}}),
        plus_linux(minimal(), netDevices={"a": {"name": "c%d"}, "b": {"name": "c%d"}}),
        'linux.netDevices["b"].name',
        'two devices would be called "c"',
        False,
    ),
    "mount with one mapping": (
        plus(minimal(), mounts=[{**BIND, "uidMappings": MAP}]),
        plus(minimal(), mounts=[{**BIND, "uidMappings": MAP, "gidMappings": MAP}]),
        "mounts[0]",
        "must have uidMappings and gidMappings, or neither",
        False,
    ),
    "idmap of nothing": (
        plus(config_without("user"), mounts=[IDMAP]),
        plus(minimal(), mounts=[IDMAP]),
        "mounts[0].options",
        "idmap needs uidMappings and gidMappings, or a user namespace",
        False,
    ),
    "bind of nothing": (
        plus(minimal(), mounts=[{"destination": "/a", "type": "bind"}]),
        plus(minimal(), mounts=[{"destination": "/a", "options": ["remount", "bind", "ro"]}]),
        "mounts[0].source",
        "is missing: a bind mount needs one",
        False,
    ),
    "device without numbers": (
        plus_linux(minimal(), devices=[{"type": "c", "path": "/dev/x"}]),
        plus_linux(minimal(), devices=[{"type": "p", "path": "/dev/x"}]),
        "linux.devices[0]",
        "a device of type c must have major and minor",
        True,
    ),
    "errno of an action without": (
        seccomp(defaultErrnoRet=1),
        seccomp(defaultAction="SCMP_ACT_ERRNO", defaultErrnoRet=1),
        "linux.seccomp.defaultErrnoRet",
        "SCMP_ACT_ALLOW returns no errno",
        True,
    ),
    "errno of a rule without": (
        seccomp(syscalls=[{"names": ["read"], "action": "SCMP_ACT_TRAP", "errnoRet": 1}]),
        seccomp(syscalls=[{"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 1}]),
        "linux.seccomp.syscalls[0].errnoRet",
        "SCMP_ACT_TRAP returns no errno",
        True,
    ),
    "metadata without listener": (
        seccomp(listenerMetadata="x"),
        seccomp(listenerMetadata="x", listenerPath="/s"),
        "linux.seccomp.listenerMetadata",
        "must not be given without listenerPath",
        False,
    ),
    "notify without listener": (
        seccomp(syscalls=NOTIFY),
        seccomp(syscalls=NOTIFY, listenerPath="/s"),
        "linux.seccomp.listenerPath",
        "is missing: SCMP_ACT_NOTIFY needs a listener",
        False,
    ),
    "memory policy with nodes": (
        plus_linux(minimal(), memoryPolicy={"mode": "MPOL_DEFAULT", "nodes": "0-7"}),
        plus_linux(minimal(), memoryPolicy={"mode": "MPOL_DEFAULT"}),
        "linux.memoryPolicy.nodes",
        "mode requires 0 nodes but got 8",
        False,
    ),
    "memory policy without nodes": (
        plus_linux(minimal(), memoryPolicy={"mode": "MPOL_BIND"}),
        plus_linux(minimal(), memoryPolicy={"mode": "MPOL_PREFERRED"}),
        "linux.memoryPolicy.nodes",
        "MPOL_BIND mode requires at least one node",
        False,
    ),
    "static and relative nodes": (
        plus_linux(
            minimal(),
            memoryPolicy={
                "mode": "MPOL_BIND",
                "nodes": "0",
                "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"],
            },
        ),
        plus_linux(minimal(), memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}),
        "linux.memoryPolicy.flags",
        "nodes are static or relative, not both",
        False,
    ),
    "balancing of a mode without": (
        plus_linux(
            minimal(), memoryPolicy={"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}
        ),
        plus_linux(minimal(), memoryPolicy={"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_NUMA_BALANCING"]}),
        "linux.memoryPolicy.flags",
        "MPOL_INTERLEAVE has no MPOL_F_NUMA_BALANCING",
        False,
    ),
    "burst above quota": (
        config_with("linux.resources.cpu", {"quota": 1000, "burst": 1001}),
        config_with("linux.resources.cpu", {"quota": -1, "burst": 1001}),
        "linux.resources.cpu.burst",
        "must not be above the quota 1000, not 1001",
        False,
    ),
    "sysctl of the host": (
        plus_linux(minimal(), sysctl={"vm.swappiness": "1"}),
        plus_linux(minimal(), sysctl={"net.ipv4.ip_forward": "1"}),
        'linux.sysctl["vm.swappiness"]',
        "is not in a separate kernel namespace",
        False,
    ),
    "sysctl without its namespace": (
        plus_linux(config_without("network"), sysctl={"net/ipv4/ip_forward": "1"}),
        plus_linux(minimal(), sysctl={"net/ipv4/ip_forward": "1"}),
        'linux.sysctl["net.ipv4.ip_forward"]',
        "needs the container to have its own network namespace",
        False,
    ),
    "sysctl of ipc": (
        plus_linux(config_without("ipc"), sysctl={"kernel.shmmax": "1"}),
        plus_linux(minimal(), sysctl={"kernel.shmmax": "1", "fs.mqueue.msg_max": "1"}),
        'linux.sysctl["kernel.shmmax"]',
        "needs the container to have its own ipc namespace",
        False,
    ),
    "sysctl of uts": (
        plus_linux(config_without("uts"), sysctl={"kernel.domainname": "x"}),
        plus_linux(minimal(), sysctl={"kernel.domainname": "x"}),
        'linux.sysctl["kernel.domainname"]',
        "needs the container to have its own uts namespace",
        False,
    ),
    "sysctl hostname": (
        plus_linux(minimal(), sysctl={"kernel.hostname": "x"}),
        plus_linux(minimal(), sysctl={"user.max_pid_namespaces": "1"}),
        'linux.sysctl["kernel.hostname"]',
        "is not allowed: say it with hostname",
        False,
    ),
    "sysctl that leaves /proc/sys": (
        plus_linux(minimal(), sysctl={"net.//.//.kernel.x": "1"}),
        plus_linux(minimal(), sysctl={"net.ipv4.conf.eth0/1.forwarding": "1"}),
        'linux.sysctl["net.//.//.kernel.x"]',
        "is no name of a kernel parameter",
        False,
    ),
    "sysctl twice": (
        plus_linux(minimal(), sysctl={"net.a.b": "1", "net/a/b": "2"}),
        plus_linux(minimal(), sysctl={"net.a.b": "1", "net/a/c": "2"}),
        "linux.sysctl",
        "has one parameter twice, with dots and with slashes",
        False,
    ),
}
