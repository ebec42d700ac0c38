"""pyrunc without one of its defences, the control of tests/security: `weakened.py DEFENCE ARGUMENTS...`; never shipped.

Each function below takes one defence away, in memory, and leaves everything else as it is.
"""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / name) for name in ("runtime", "spec", "build/lib", "tests")]


def links_in_root() -> None:
    """Paths in the rootfs are resolved as the host would: CVE-2021-30465 and its kin."""
    from one_by_one import replacements
    from pyrunc.rootfs import paths

    for module, name, function in replacements():
        setattr(module, name, function)
    paths.IN_ROOT = paths.ORDINARY = paths.RESOLVE_NO_SYMLINKS & 0
    into = paths.RootPaths.open_into

    def open_into(self, register, path, flags=paths.O_PATH, *, resolve=0, **rest):
        into(self, register, path.lstrip("/") or ".", flags, resolve=0, **rest)

    paths.RootPaths.open_into = open_into


def ordinary_directory() -> None:
    """proc and sysfs go wherever a link leads, inside the root: CVE-2019-19921."""
    from pyrunc.rootfs.mounting import Mounting

    Mounting.ordinary_target = lambda self, destination, _kind: self.target(destination, is_directory=True)


def own_null() -> None:
    """Masked files are covered by what the container calls /dev/null: CVE-2025-31133."""
    from pyrunc.rootfs import devices, masks

    links_in_root()
    devices._emit_device = lambda *_arguments: None
    original = masks._emit_masked

    def emit_masked(p, root, paths, listed):
        masks._emit_null = lambda _p, _facts: paths.open_existing("/dev/null")
        original(p, root, paths, listed)

    masks._emit_masked = emit_masked


def console_name() -> None:
    """/dev/console is opened through links: CVE-2026-88264."""
    from pyrunc.rootfs import paths

    links_in_root()
    paths.RootPaths.make_file = lambda self, directory, name: self.p.close(
        self.p.result("openat", directory, name, 0o100 | 0o2000000, 0o644)
    )
    paths.RootPaths.open_name = lambda self, directory, name: self.p.result("openat", directory, name, 0o12000000, 0)
    paths.check_kind = lambda *_arguments: None


def dumpable() -> None:
    """Everybody may look into the stage: CVE-2016-9962."""
    from pyrunc.namespaces import join
    from pyrunc.process import birth, credentials

    birth.PR_SET_DUMPABLE = credentials.PR_SET_DUMPABLE = join.PR_SET_DUMPABLE = 3  # PR_GET_DUMPABLE


def seals() -> None:
    """The stage's image may be written: CVE-2019-5736."""
    from pyrunc.process import spawn

    spawn.fcntl = lambda *_arguments: 0


def inheritable() -> None:
    """Inheritable capabilities as in the bounding set: CVE-2022-29162."""
    from pyrunc.security import capabilities

    emit = capabilities.emit_sets
    from pyrunc.process import credentials

    def emit_sets(p, sets, **rest):
        sets.inheritable = sets.permitted
        emit(p, sets, **rest)

    credentials.emit_sets = emit_sets


def user_names() -> None:
    """A user is looked up by name first, even when the name is a number: CVE-2016-3697."""
    from pyrunc.commands import exec as command

    command.parse_id = lambda *_arguments: 0


def device_rules() -> None:
    """Nothing is said about devices when config.json says nothing: GHSA-g54h-m393-cpwq."""
    from pyrunc.cgroups import resources

    plan = resources.plan_resources

    def plan_resources(wanted, *arguments, **rest):
        planned = plan(wanted, *arguments, **rest)
        writes = tuple(w for w in planned.writes if w.controller != "devices")
        return replace(planned, writes=writes, device_program=None)

    from ocispec.record import replace
    from pyrunc.container import resources as of_container

    of_container.plan_resources = plan_resources


def late_readonly() -> None:
    """The last change to the root goes elsewhere: CVE-2026-115521."""
    from pyrunc.process import plan

    plan.emit_readonly_root = lambda *_arguments: None


def hook_environment() -> None:
    """Hooks of the host get the image's environment: CVE-2025-23266."""
    import json

    from pyrunc.process import hooks

    def environment(_entries):
        for number, word in enumerate(sys.argv):
            if word in ("-b", "--bundle"):
                text = (Path(sys.argv[number + 1]) / "config.json").read_text()
                return dict(entry.split("=", 1) for entry in json.loads(text)["process"]["env"] if "LD_" not in entry)
        return {}

    hooks.environment = environment


def modes() -> None:
    """Everybody may read what is known of a container: CVE-2024-25621."""
    import posix

    from pyrunc.container import store

    save = store.Directory.save

    def save_for_all(self, record):
        save(self, record)
        posix.chmod(f"{self.path}/{store.STATE_FILE}", 0o644)

    store.Directory.save = save_for_all


def cgroup_readonly() -> None:
    """A cgroup mount that was to be read-only is not: CVE-2023-25809."""
    from pyrunc.rootfs import cgroupfs

    cgroupfs.MOUNT_ATTR_RDONLY = 0


def private_procfs() -> None:
    """Sysctls are written by path below the rootfs, and mounts may cover its /proc: CVE-2025-52881."""
    from pyrunc.namespaces.sysctl import sysctl_path
    from pyrunc.process import plan
    from pyrunc.rootfs import mounts
    from pyrunc.rootfs.mounting import Mounting

    mounts._refuse = lambda *_arguments: None
    Mounting.refuse_inside_proc = lambda *_arguments: None

    def emit_sysctls(p, config, _proc):
        for number, word in enumerate(sys.argv):
            if word in ("-b", "--bundle"):
                for key, value in config.linux.sysctl.items():
                    path = f"{sys.argv[number + 1]}/rootfs/proc/sys/{sysctl_path(key)}"
                    setting = p.result("openat", -100, path, 1 | 0o2000000, 0)
                    p.call("write", setting, value, len(value))
                    p.close(setting)

    plan.emit_sysctls = emit_sysctls


def proc_of_the_host() -> None:
    """In a mount namespace that was joined "/proc" is what was mounted there: tests/security/test_hostile_proc.py."""
    from pyrunc.process import plan

    replace = plan.replace
    plan.replace = lambda record, **fields: record if "proc" in fields else replace(record, **fields)


def deadlines() -> None:
    """exec waits for its stage as long as it takes."""
    from pyrunc.process import sync

    sync.PATIENCE_SECONDS = 10_000


def impatient() -> None:
    """Nothing is taken away, only that tests do not want to wait so long."""
    from pyrunc.process import spawn, sync

    sync.PATIENCE_SECONDS = spawn._DEATH_SECONDS = 1


def main() -> None:
    from pyrunc.cli.main import main as run

    globals()[sys.argv[1]]()
    sys.argv[1:] = sys.argv[2:]
    sys.exit(run(sys.argv))


if __name__ == "__main__":
    main()
