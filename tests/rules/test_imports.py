"""The import budget (DESIGN.md): what the hot path must not load, by reading the sources.

test_loaded_modules.py looks at what each command really loads.
"""

from __future__ import annotations

from rules.source import Module, modules, parse

FORBIDDEN = frozenset(
    """
    argparse collections contextlib ctypes dataclasses enum functools grp json logging os pathlib pwd re
    shutil signal socket struct subprocess tempfile traceback typing
    """.split()
)
# module -> why it may import anything
COLD = {
    "pyrunc.commands.validate": "holds a config against the schemas: jsonschema alone takes 100 ms",
}


def violations(module: Module) -> list[str]:
    if module.name in COLD:
        return []
    found = []
    for imported in module.imports:
        name = imported.module.partition(".")[0]
        if name in FORBIDDEN and not imported.typing_only:
            found.append(f"{module.shown}:{imported.line}: imports {imported.module}")
    return found


def test_no_hot_module_imports_what_is_slow() -> None:
    assert [line for module in modules() for line in violations(module)] == []


def test_every_exception_is_still_needed() -> None:
    assert [name for name in COLD if name not in {module.name for module in modules()}] == []


def test_the_rule_sees_a_slow_import() -> None:
    assert violations(parse("pyrunc.x", "import re"))
    assert violations(parse("pyrunc.x", "def f():\n    from collections.abc import Sequence"))
    assert violations(parse("pyrunc.cli.failures", "import traceback"))
    assert violations(parse("pyrunc.cli.failures", "def f():\n    import traceback"))
    assert not violations(parse("pyrunc.x", "if TYPE_CHECKING:\n    from typing import Any\nimport posix"))


def test_only_the_door_imports_the_helper() -> None:
    importers = [m.name for m in modules() if any(i.module.startswith("_pyrunc_helper") for i in m.imports)]
    assert importers == ["pyrunc.kernel.lib"]
