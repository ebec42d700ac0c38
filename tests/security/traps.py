"""Files and variables of a caller who wants other code to run: each writes its name into `sprung` when it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Of the standard library what the interpreter or a cold command imports; ours; what validate needs from site-packages.
MODULES = (
    "posix", "json", "encodings", "traceback", "io", "abc", "codecs", "site", "sitecustomize", "usercustomize", "errno",
    "os", "re", "linecache", "types", "typing", "functools", "collections", "importlib", "zipimport", "warnings",
    "enum", "contextlib", "_struct", "fcntl", "time", "_signal", "pyrunc", "ocispec", "_pyrunc_helper", "_pyrunc_json",
    "_pyrunc_build", "_pyrunc_start", "_cffi_backend", "jsonschema", "referencing", "rpds", "attr", "urllib",
    "decimal",
)  # fmt: skip
LIBRARIES = (
    "libpython3.11.so", "libpython3.11.so.1.0", "libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1", "libdl.so.2",
    "libpthread.so.0", "libutil.so.1", "libnss_files.so.2", "libnss_compat.so.2",
)  # fmt: skip
# Where a root filesystem has them.
SYSTEM = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "lib")
VERSION = "3.11"


class Traps:
    """A directory with all of it: `home`, `bin` (as of a virtual environment), `libraries`; the modules in its top."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.sprung = top / "sprung"
        self.library = top / "libraries/trap.so"
        top.mkdir()
        self.library.parent.mkdir()
        self._compile_library()
        self.plant(top)
        self._plant_environment(top)
        self._plant_home(top / "home")

    def plant(self, directory: Path) -> None:
        """Every module, as a file and (of some) as a package, and every library of the system, in a directory."""
        for name in MODULES:
            (directory / f"{name}.py").write_text(self._module(f"{name}.py"))
        (directory / "encodings.py").unlink()
        (directory / "encodings").mkdir()
        for name in ("__init__", "utf_8", "aliases"):
            (directory / f"encodings/{name}.py").write_text(self._module(f"encodings/{name}.py"))
        (directory / "evil.pth").write_text(f"import sys; exec({self._module('evil.pth')!r})\n")
        for name in LIBRARIES:
            shutil.copy2(self.library, directory / name)
        shutil.copy2(self.library, directory / "_posixsubprocess.cpython-311-x86_64-linux-gnu.so")

    def plant_in_rootfs(self, rootfs: Path) -> None:
        for directory in (*SYSTEM, f"usr/lib/python{VERSION}", "etc"):
            (rootfs / directory).mkdir(parents=True, exist_ok=True)
        for directory in SYSTEM:
            for name in LIBRARIES:
                shutil.copy2(self.library, rootfs / directory / name)
        shutil.copytree(self.top / "encodings", rootfs / f"usr/lib/python{VERSION}/encodings")
        for name in MODULES:
            (rootfs / f"usr/lib/python{VERSION}/{name}.py").write_text(self._module(f"rootfs/{name}.py"))
        (rootfs / "etc/ld.so.preload").write_text(f"{self.library}\n")

    @property
    def python_variables(self) -> dict[str, str]:
        """All that python(1) names, each with a value that shows or breaks something."""
        top = str(self.top)
        return {
            "PYTHONPATH": top, "PYTHONHOME": top, "PYTHONSTARTUP": f"{top}/json.py", "PYTHONUSERBASE": f"{top}/home",
            "PYTHONPLATLIBDIR": "libraries", "PYTHONPYCACHEPREFIX": top, "PYTHONINSPECT": "1", "PYTHONVERBOSE": "1",
            "PYTHONDEBUG": "1", "PYTHONDEVMODE": "1", "PYTHONDUMPREFS": "1", "PYTHONHASHSEED": "no number",
            "PYTHONUTF8": "no number", "PYTHONTRACEMALLOC": "no number", "PYTHONINTMAXSTRDIGITS": "no number",
            "PYTHONMALLOC": "no allocator", "PYTHONMALLOCSTATS": "1", "PYTHONIOENCODING": "utf-16",
            "PYTHONWARNINGS": "error", "PYTHONBREAKPOINT": "json.trap", "PYTHONCASEOK": "1",
            "PYTHONPROFILEIMPORTTIME": "1", "PYTHONFAULTHANDLER": "1", "PYTHONCOERCECLOCALE": "warn", "LC_ALL": "C",
            "PYTHONSAFEPATH": "", "PYTHONOPTIMIZE": "0", "PYTHONUNBUFFERED": "1", "PYTHONASYNCIODEBUG": "1",
            "PYTHONNODEBUGRANGES": "1", "PYTHONFRAMEWORK": top, "HOME": f"{top}/home",
        }  # fmt: skip

    @property
    def executable_variables(self) -> dict[str, str]:
        """CPython 3.11 asks for them on every system, and with -I (Modules/getpath.c): pyvenv.cfg is sought there."""
        place = f"{self.top}/bin/python3"
        return {"PYTHONEXECUTABLE": place, "__PYVENV_LAUNCHER__": place}

    @property
    def libc_variables(self) -> dict[str, str]:
        """ld.so(8) and libc; LD_LIBRARY_PATH and LD_PRELOAD have tests of their own."""
        top = str(self.top)
        return {
            "GCONV_PATH": top, "LOCPATH": top, "NLSPATH": f"{top}/%N", "HOSTALIASES": f"{top}/json.py",
            "MALLOC_TRACE": f"{top}/trace", "TMPDIR": f"{top}/nowhere", "RES_OPTIONS": "debug", "GETCONF_DIR": top,
            "GLIBC_TUNABLES": "glibc.malloc.check=3",
        }  # fmt: skip

    def caught(self) -> list[str]:
        """The traps that were sprung since the last time."""
        if not self.sprung.exists():
            return []
        names = self.sprung.read_text().split("\n")
        self.sprung.unlink()
        return names[:-1]

    def _module(self, name: str) -> str:
        """posix is always the built-in one, and there is no open() yet when encodings is imported."""
        return (
            "import posix\n"
            f"f = posix.open({str(self.sprung)!r}, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND, 0o644)\n"
            f"posix.write(f, {name.encode()!r} + b'\\n')\n"
            "posix._exit(66)\n"
        )

    def _compile_library(self) -> None:
        names = [f'-DTRAPPED="{self.sprung}"', '-DNAME="library"']
        command = ["gcc", "-shared", "-fPIC", "-O1", *names, "-o", str(self.library), str(HERE / "trap.c")]
        subprocess.run(command, check=True)

    def _plant_environment(self, top: Path) -> None:
        """A virtual environment, for who looks for pyvenv.cfg beside itself or above, of an interpreter that is a trap.

        `os.py` and lib-dynload are what getpath.py knows a standard library by.
        """
        (top / "bin").mkdir()
        evil = top / f"evil/lib/python{VERSION}"
        (evil / "lib-dynload").mkdir(parents=True)
        (top / "evil/bin").mkdir()
        shutil.copytree(top / "encodings", evil / "encodings")
        for name in MODULES:
            (evil / f"{name}.py").write_text(self._module(f"evil/{name}.py"))
        for directory in (top, top / "bin"):
            (directory / "pyvenv.cfg").write_text(f"home = {top}/evil/bin\n")
        packages = top / f"lib/python{VERSION}/site-packages"
        packages.mkdir(parents=True)
        self._plant_customizations(packages)

    def _plant_home(self, home: Path) -> None:
        packages = home / f".local/lib/python{VERSION}/site-packages"
        packages.mkdir(parents=True)
        self._plant_customizations(packages)

    def _plant_customizations(self, packages: Path) -> None:
        for name in ("sitecustomize.py", "usercustomize.py", "jsonschema.py", "pyrunc.py"):
            (packages / name).write_text(self._module(name))
        shutil.copy2(self.top / "evil.pth", packages / "evil.pth")


def environment(*parts: dict[str, str]) -> dict[str, str]:
    """A plain environment and what is added to it."""
    plain = {"PATH": os.defpath, "HOME": "/nonexistent"}
    for part in parts:
        plain |= part
    return plain
