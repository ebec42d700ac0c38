"""Paths inside the rootfs are hostile: only the modules named here may emit calls that resolve or make one."""

from __future__ import annotations

import ast

from rules.source import Module, modules, parse

PATH_CALLS = frozenset(
    """
    open openat openat2 mkdir mkdirat mknod mknodat symlink symlinkat link linkat unlink unlinkat rmdir
    rename renameat renameat2 chmod fchmodat chown lchown fchownat chdir chroot readlink
    """.split()
)
# module -> why it resolves paths
DOORS = {
    "pyrunc.rootfs.copying": "openat2(RESOLVE_BENEATH) below two descriptors, and one component at a time",
    "pyrunc.rootfs.host": "the host's own paths, before pivot_root: nothing in a container can change them",
    "pyrunc.rootfs.paths": "the door: openat2(RESOLVE_IN_ROOT), and one component at a time",
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
    if not module.name.startswith("pyrunc.rootfs") or module.name in DOORS:
        return []
    return [f"{module.shown}:{line}: emits {name}" for line, name in emitted(module) if name in PATH_CALLS]


def test_only_the_doors_resolve_paths_in_the_rootfs() -> None:
    assert [line for module in modules() for line in violations(module)] == []


def test_the_doors_exist_and_are_used() -> None:
    present = {module.name: module for module in modules()}
    assert [name for name in DOORS if not any(call in PATH_CALLS for _, call in emitted(present[name]))] == []


def test_the_rule_sees_a_second_door() -> None:
    assert violations(parse("pyrunc.rootfs.devices", 'def f(p):\n    p.call("mknodat", 1, "x", 2, 3)'))
    assert violations(parse("pyrunc.rootfs.mounts", 'def f(p):\n    return p.result("openat2", 1, "x", 2, 3)'))
    assert not violations(parse("pyrunc.rootfs.mounts", 'def f(p):\n    p.call("move_mount", 1, "", 2, "", 4)'))
