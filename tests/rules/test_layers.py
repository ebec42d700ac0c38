"""Who may import whom: DESIGN's table of halves, kept by the import graph."""

from __future__ import annotations

from rules.source import Module, modules, parse

# The first name that matches a module's own decides its layer.
LAYERS = {
    "ocispec": 0,
    "pyrunc.errors": 1,
    "pyrunc.hints": 1,
    "pyrunc.json_faults": 1,
    "pyrunc.jsonio": 1,
    "pyrunc.launcher": 1,
    "pyrunc.log": 1,
    "pyrunc.kernel": 2,
    "pyrunc.program": 3,
    "pyrunc.rootfs": 4,
    "pyrunc.namespaces": 4,
    "pyrunc.cgroups": 4,
    "pyrunc.security": 4,
    "pyrunc.process": 5,
    "pyrunc.container": 6,
    "pyrunc.commands": 7,
    "pyrunc.cli": 7,
    "pyrunc.__main__": 7,
}
MAY_IMPORT = {
    0: {0},
    1: {0, 1},
    2: {0, 1},
    3: {0, 1},
    4: {0, 1, 2, 3},
    5: {0, 1, 2, 3, 4},
    6: {0, 1, 2, 3, 4, 5},
    7: {0, 1, 6, 7},
}
# (importer's layer name, imported module): why
EXCEPTIONS = {
    ("pyrunc.program", "pyrunc.kernel.constants"): "numbers from the headers: data, not the kernel",
}
EXTRA = {"pyrunc": 1, "ocispec": 1}  # their versions


def layer_name(module: str) -> str:
    """The row of LAYERS that a module belongs to; "" for `pyrunc` itself, which holds a docstring."""
    names = [name for name in LAYERS if module == name or module.startswith(name + ".")]
    return names[0] if names else ""


def violations(module: Module) -> list[str]:
    own = layer_name(module.name)
    found = []
    for imported in module.imports:
        other = layer_name(imported.module)
        if not other or other == own or (own, imported.module) in EXCEPTIONS:
            continue
        neighbours = LAYERS[own] == LAYERS[other] == 4
        if neighbours or LAYERS[other] not in MAY_IMPORT[LAYERS[own]]:
            found.append(f"{module.shown}:{imported.line}: {own} must not import {imported.module}")
    return found


def test_every_module_has_a_layer() -> None:
    assert [module.name for module in modules() if not layer_name(module.name)] == ["pyrunc"]


def test_imports_follow_the_layers() -> None:
    assert [line for module in modules() for line in violations(module)] == []


def test_package_modules_hold_only_a_docstring() -> None:
    packages = [module for module in modules() if module.path.name == "__init__.py"]
    assert len(packages) > 5
    assert [module.shown for module in packages if len(module.tree.body) > 1 + EXTRA.get(module.name, 0)] == []


def test_the_rule_sees_an_upward_import() -> None:
    assert violations(parse("pyrunc.kernel.files", "from pyrunc.process import spawn"))
    assert violations(parse("pyrunc.rootfs.paths", "def f():\n    import pyrunc.cgroups.paths"))
    assert violations(parse("ocispec.reader", "import pyrunc.errors"))
    assert violations(parse("pyrunc.commands.create", "from pyrunc.kernel.lib import check"))
    assert not violations(parse("pyrunc.program.encode", "from pyrunc.kernel.constants import O_PATH"))
    assert not violations(parse("pyrunc.process.plan", "from pyrunc.rootfs.paths import x"))
