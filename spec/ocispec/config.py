"""config.json (runtime-spec 1.3, config.md), without the `linux` section.

Names are the spec's JSON keys in snake_case (`class` is `class_`); enum words stay the spec's own strings.  Absent
strings are "", lists (), maps {}, objects and meaningful integers None; `hooks` and `linux` are always there.
"""

from __future__ import annotations

from ocispec import SPEC_VERSION
from ocispec.checks import CONFIG_CHECKS, CONFIG_WARNINGS
from ocispec.checks_of_process import PROCESS_CHECKS, PROCESS_WARNINGS
from ocispec.document import read_document
from ocispec.forms import major_version
from ocispec.linux import IDMapping, Linux, parse_id_mapping, parse_linux
from ocispec.reader import ID_MAX, INT64_MAX, UINT64_MAX, shown
from ocispec.record import Record
from ocispec.words import IO_PRIORITY_CLASSES, RLIMITS, SCHEDULER_FLAGS, SCHEDULER_POLICIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocispec.reader import Reader, SpecError

OTHER_PLATFORMS = ("windows", "solaris", "vm", "zos", "freebsd")


class Root(Record):
    """`path` is absolute or relative to the bundle."""

    path: str
    readonly: bool = False


class Mount(Record):
    """`destination` may be relative (to "/", config.md#mounts); `source` may be relative to the bundle."""

    destination: str
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IDMapping, ...] = ()
    gid_mappings: tuple[IDMapping, ...] = ()


class ConsoleSize(Record):
    """Characters."""

    height: int
    width: int


class User(Record):
    """`umask` None: inherited."""

    uid: int
    gid: int
    umask: int | None = None
    additional_gids: tuple[int, ...] = ()


class Capabilities(Record):
    """Names as written (CAP_CHOWN); a name this kernel does not know is a warning later, not an error."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


class Rlimit(Record):
    """`type` is RLIMIT_…; 2^64-1 is no limit."""

    type: str
    soft: int
    hard: int


class Scheduler(Record):
    """sched_setattr(2).  `policy` is SCHED_…, `flags` SCHED_FLAG_…; times in nanoseconds."""

    policy: str
    nice: int = 0
    priority: int = 0
    flags: tuple[str, ...] = ()
    runtime: int = 0
    deadline: int = 0
    period: int = 0


class IOPriority(Record):
    """ioprio_set(2).  `class_` is IOPRIO_CLASS_RT, _BE or _IDLE."""

    class_: str
    priority: int = 0


class ExecCPUAffinity(Record):
    """Lists such as "0-3,7", of processors for `exec` before and after it joins the cgroup."""

    initial: str = ""
    final: str = ""


class Process(Record):
    args: tuple[str, ...]
    cwd: str
    user: User
    terminal: bool = False
    console_size: ConsoleSize | None = None
    env: tuple[str, ...] = ()
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: int | None = None
    selinux_label: str = ""
    scheduler: Scheduler | None = None
    io_priority: IOPriority | None = None
    exec_cpu_affinity: ExecCPUAffinity | None = None


class Hook(Record):
    """`args` includes argv[0]; () means the path alone.  `timeout` in seconds, None: none."""

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class Hooks(Record):
    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


class Config(Record):
    oci_version: str
    root: Root
    process: Process | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    hooks: Hooks = Hooks()
    annotations: dict[str, str] = {}
    linux: Linux = Linux()


def read_config(
    document: object, warnings: list[str] | None = None, *, problems: list[SpecError] | None = None
) -> Config:
    """A whole config.json.  Raises SpecError; `warnings` and `problems` as read_document has them."""
    return read_document(document, parse_config, CONFIG_CHECKS, CONFIG_WARNINGS, warnings, problems)


def read_process(
    document: object, warnings: list[str] | None = None, *, problems: list[SpecError] | None = None
) -> Process:
    """A bare process object, as `exec --process` is given.  Places in errors start at the process."""
    return read_document(document, parse_process, PROCESS_CHECKS, PROCESS_WARNINGS, warnings, problems)


def parse_config(r: Reader) -> Config:
    for key in OTHER_PLATFORMS:
        r.ignore(key, "not for Linux containers")
    return Config(
        oci_version=parse_version(r),
        root=r.required_record("root", parse_root),
        process=r.record("process", parse_process),
        hostname=r.string("hostname"),
        domainname=r.string("domainname"),
        mounts=r.records("mounts", parse_mount),
        hooks=r.record("hooks", parse_hooks) or Hooks(),
        annotations=r.string_map("annotations"),
        linux=r.record("linux", parse_linux) or Linux(),
    )


def parse_version(r: Reader) -> str:
    version = r.string("ociVersion", required=True)
    major = major_version(version)
    if version and major is None:
        r.refuse("ociVersion", f"must be a version such as {SPEC_VERSION}, not {shown(version)}")
    elif version and major != 1:
        r.refuse("ociVersion", f"only 1.x is known, not {shown(version)}")
    return version


def parse_root(r: Reader) -> Root:
    return Root(path=r.string("path", required=True), readonly=r.boolean("readonly"))


def parse_mount(r: Reader) -> Mount:
    return Mount(
        destination=r.string("destination", required=True),
        type=r.string("type"),
        source=r.string("source"),
        options=r.strings("options"),
        uid_mappings=r.records("uidMappings", parse_id_mapping),
        gid_mappings=r.records("gidMappings", parse_id_mapping),
    )


def parse_process(r: Reader) -> Process:
    r.ignore("commandLine", "only for Windows")
    return Process(
        args=r.strings("args", required=True),
        cwd=r.absolute_path("cwd", required=True),
        # The spec requires user.uid and user.gid; Go, and with it every engine's tests, takes their absence for 0.
        user=r.record("user", parse_user) or User(uid=0, gid=0),
        terminal=r.boolean("terminal"),
        console_size=r.record("consoleSize", parse_console_size),
        env=r.strings("env"),
        capabilities=r.record("capabilities", parse_capabilities),
        rlimits=r.records("rlimits", parse_rlimit),
        no_new_privileges=r.boolean("noNewPrivileges"),
        apparmor_profile=r.string("apparmorProfile"),
        oom_score_adj=r.optional_integer("oomScoreAdj", -1000, 1000),
        selinux_label=r.string("selinuxLabel"),
        scheduler=r.record("scheduler", parse_scheduler),
        io_priority=r.record("ioPriority", parse_io_priority),
        exec_cpu_affinity=r.record("execCPUAffinity", parse_exec_cpu_affinity),
    )


def parse_console_size(r: Reader) -> ConsoleSize:
    return ConsoleSize(
        height=r.required_integer("height", 0, UINT64_MAX), width=r.required_integer("width", 0, UINT64_MAX)
    )


def parse_user(r: Reader) -> User:
    r.ignore("username", "only for Windows")
    return User(
        uid=r.integer("uid", 0, ID_MAX),
        gid=r.integer("gid", 0, ID_MAX),
        umask=r.optional_integer("umask", 0, 0o777),
        additional_gids=r.integers("additionalGids", 0, ID_MAX),
    )


def parse_capabilities(r: Reader) -> Capabilities:
    return Capabilities(
        bounding=r.strings("bounding"),
        effective=r.strings("effective"),
        inheritable=r.strings("inheritable"),
        permitted=r.strings("permitted"),
        ambient=r.strings("ambient"),
    )


def parse_rlimit(r: Reader) -> Rlimit:
    return Rlimit(
        type=r.string("type", required=True, words=RLIMITS),
        soft=r.required_integer("soft", 0, UINT64_MAX),
        hard=r.required_integer("hard", 0, UINT64_MAX),
    )


def parse_scheduler(r: Reader) -> Scheduler:
    return Scheduler(
        policy=r.string("policy", required=True, words=SCHEDULER_POLICIES),
        nice=r.integer("nice", -20, 19),
        priority=r.integer("priority", 0, 99),
        flags=r.strings("flags", words=SCHEDULER_FLAGS),
        runtime=r.integer("runtime", 0, UINT64_MAX),
        deadline=r.integer("deadline", 0, UINT64_MAX),
        period=r.integer("period", 0, UINT64_MAX),
    )


def parse_io_priority(r: Reader) -> IOPriority:
    return IOPriority(
        class_=r.string("class", required=True, words=IO_PRIORITY_CLASSES), priority=r.integer("priority", 0, 7)
    )


def parse_exec_cpu_affinity(r: Reader) -> ExecCPUAffinity:
    return ExecCPUAffinity(initial=r.string("initial"), final=r.string("final"))


def parse_hooks(r: Reader) -> Hooks:
    return Hooks(
        prestart=r.records("prestart", parse_hook),
        create_runtime=r.records("createRuntime", parse_hook),
        create_container=r.records("createContainer", parse_hook),
        start_container=r.records("startContainer", parse_hook),
        poststart=r.records("poststart", parse_hook),
        poststop=r.records("poststop", parse_hook),
    )


def parse_hook(r: Reader) -> Hook:
    return Hook(
        path=r.absolute_path("path", required=True),
        args=r.strings("args"),
        env=r.strings("env"),
        timeout=r.optional_integer("timeout", 1, INT64_MAX),
    )
