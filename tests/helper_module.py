"""The helper as it is built into the launcher (csrc/binding.py), made a module that any interpreter can import."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
CSRC = TOP / "csrc"
LIBRARY = TOP / "build/lib"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers")
OTHERS = {"_pyrunc_assembler": sorted(CSRC.glob("assembler*.c")), "_pyrunc_json": [CSRC / "json.c"]}
CFFI, BUILT_IN = "cffi", "built in"


def build_modules(directory: Path, *options: str) -> Path:
    """Our modules and the stage in a directory that may come first in sys.path."""
    binding = directory / "helper_module.c"
    subprocess.run([sys.executable, str(CSRC / "binding.py"), str(binding)], check=True)
    include = [f"-I{sysconfig.get_path('include')}", f"-I{CSRC}"]
    for name, sources in {"_pyrunc_helper": [binding, CSRC / "helper.c"], **OTHERS}.items():
        command = ["gcc", "-std=gnu11", "-O1", "-shared", "-fPIC", *WARNINGS, *options, *include]
        subprocess.run([*command, "-o", str(directory / f"{name}{SUFFIX}"), *map(str, sources)], check=True)
    shutil.copy2(LIBRARY / "_pyrunc_stage", directory)
    return directory


def load(name: str, path: Path) -> Any:
    """A module from a file, and not the one of that name which is imported already.

    An extension module of the old kind puts itself into sys.modules, and its second import into what it finds there.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    before = sys.modules.pop(name, None)
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.modules.pop(name, None)
        if before is not None:
            sys.modules[name] = before


def helper_of(binding: str, built_in: Path) -> Any:
    path = LIBRARY / "_pyrunc_helper.abi3.so" if binding == CFFI else built_in / f"_pyrunc_helper{SUFFIX}"
    return load("_pyrunc_helper", path)


def library_over(helper: Any) -> Any:
    """kernel/lib.py anew, over this helper."""
    before = sys.modules.get("_pyrunc_helper")
    sys.modules["_pyrunc_helper"] = helper
    try:
        return load("helper_library", TOP / "runtime/pyrunc/kernel/lib.py")
    finally:
        del sys.modules["_pyrunc_helper"]
        if before is not None:
            sys.modules["_pyrunc_helper"] = before
