"""Paths inside the rootfs are hostile: only the modules named here may emit calls that resolve or make one."""

from __future__ import annotations

import ast

from rules.source import Module, modules, parse

PATH_CALLS = frozenset(
    """
    open openat openat2 mkdir mkdirat mknod mknodat symlink symlinkat link linkat unlink unlinkat rmdir
    rename renameat renameat2 chmod fchmodat fchmodat2 chown lchown fchownat chdir chroot readlink truncate utimensat
    setxattr lsetxattr
    """.split()
)
MOUNT_CALLS = frozenset("mount umount2 open_tree move_mount mount_setattr fsopen fspick fsmount pivot_root".split())
# module -> why it resolves paths
DOORS = {
    "pyrunc.rootfs.copying": "openat2(RESOLVE_BENEATH) below two descriptors, and one component at a time",
    "pyrunc.rootfs.host": "the host's own paths, before pivot_root: nothing in a container can change them",
    "pyrunc.rootfs.paths": "the door: openat2(RESOLVE_IN_ROOT), and one component at a time",
}
# module -> the path calls it emits all the same, and why
OTHERS = {
    "pyrunc.cgroups.join": ({"openat"}, "cgroup.procs in the host's cgroup tree, before anything is joined"),
    "pyrunc.namespaces.join": ({"openat"}, "/proc/self/timens_offsets of the host's procfs, before anything is joined"),
    "pyrunc.namespaces.sysctl": ({"openat2"}, "below a descriptor of procfs: no link, no mount on the way"),
    "pyrunc.process.birth": ({"openat"}, "its own descriptors, in the host's procfs"),
    "pyrunc.process.credentials": ({"openat2"}, "cwd, after pivot_root, without magic links; asked again by getcwd(2)"),
    "pyrunc.process.limits": ({"openat2"}, "below a descriptor of procfs: no magic link, no mount on the way"),
    "pyrunc.process.plan_exec": ({"openat", "chdir", "chroot"}, "/ itself, after the join"),
    "pyrunc.process.procfs": ({"openat"}, "the host's /proc; asked whether it is the root of a procfs"),
    "pyrunc.security.lsm": ({"openat2"}, "below a descriptor of procfs: no magic link, no mount on the way"),
}
MOUNTERS = {
    "pyrunc.rootfs.filesystems": "new file systems, detached; mount(2) on /proc/self/fd/N for what fsconfig cannot say",
    "pyrunc.rootfs.masks": "takes off the cover that it has put on the rootfs's own root",
    "pyrunc.rootfs.pivot": "the root itself",
    "pyrunc.rootfs.trees": "trees by descriptor, attached to a descriptor",
}


def emitted(module: Module) -> list[tuple[int, str]]:
    """(line, name) of every system call that the module puts into a program."""
    found = []
    for node in ast.walk(module.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in ("call", "result") and node.args and isinstance(node.args[0], ast.Constant):
            found.append((node.lineno, str(node.args[0].value)))
    return found


def violations(module: Module) -> list[str]:
    """Every module of the runtime: a new one that touches a path is a decision, and is written down above."""
    allowed = set() if module.name not in DOORS else set(PATH_CALLS)
    allowed |= OTHERS.get(module.name, (set(), ""))[0]
    allowed |= set(MOUNT_CALLS) if module.name in MOUNTERS else set()
    guarded = (PATH_CALLS | MOUNT_CALLS) - allowed
    return [f"{module.shown}:{line}: emits {name}" for line, name in emitted(module) if name in guarded]


def test_only_the_doors_resolve_paths_in_the_rootfs() -> None:
    assert [line for module in modules() for line in violations(module)] == []


def test_the_doors_exist_and_are_used() -> None:
    present = {module.name: module for module in modules()}
    calls = {name: {call for _, call in emitted(present[name])} for name in {**DOORS, **OTHERS, **MOUNTERS}}
    assert [name for name in DOORS if not calls[name] & PATH_CALLS] == []
    assert [name for name in OTHERS if not calls[name] & OTHERS[name][0]] == []
    assert [name for name in MOUNTERS if not calls[name] & MOUNT_CALLS] == []


# The parent's side: what a container can influence is opened below a descriptor of its root, or not at all.
PARENT_DOOR = "pyrunc.kernel.beneath"
THROUGH_IT = {"pyrunc.container.host_facts", "pyrunc.process.passwd_file", "pyrunc.rootfs.dangling"}
NAMES_A_ROOT = {  # module -> what it does with /proc/PID/root
    "pyrunc.container.execute": "O_PATH, for fchdir(2) and chroot(2)",
    "pyrunc.process.exec_parent": "gives it to passwd_file",
    "pyrunc.process.parent": "gives it to passwd_file",
}


def names_a_root(module: Module) -> bool:
    strings = (node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant))
    return any(isinstance(text, str) and text.startswith("/root") for text in strings)


def test_the_parent_has_one_door_too() -> None:
    users = {module.name for module in modules() if any(i.module.startswith(PARENT_DOOR) for i in module.imports)}
    assert users == THROUGH_IT
    assert {module.name for module in modules() if names_a_root(module)} == set(NAMES_A_ROOT)
    assert names_a_root(parse("pyrunc.x", 'def f(pid):\n    return open(f"/proc/{pid}/root/etc/passwd")'))


def test_the_rule_sees_a_second_door() -> None:
    assert violations(parse("pyrunc.rootfs.devices", 'def f(p):\n    p.call("mknodat", 1, "x", 2, 3)'))
    assert violations(parse("pyrunc.rootfs.mounts", 'def f(p):\n    return p.result("openat2", 1, "x", 2, 3)'))
    assert violations(parse("pyrunc.process.somewhere", 'def f(p):\n    p.call("mkdirat", 1, "x", 2)'))
    assert violations(parse("pyrunc.rootfs.mounts", 'def f(p):\n    p.call("move_mount", 1, "", 2, "", 4)'))
    assert not violations(parse("pyrunc.rootfs.trees", 'def f(p):\n    p.call("move_mount", 1, "", 2, "", 4)'))
