"""Build what the packages need in C: the helper as a cffi module (API mode, out of line) from helper.h's own
declarations, and the modules json.c and assembler.c.

usage: build.py OUTDIR        setup.py uses `ffi` from here as well

_cffi_backend is copied beside the module: the launcher starts Python with -S, so site-packages is not searched.
SANITIZE=1 in the environment builds with ASan and UBSan for the tests.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import _cffi_backend
from cffi import FFI

HERE = Path(__file__).resolve().parent
MODULES = ("assembler", "json")  # each of NAME*.c
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]
HARDENING = ["-O2", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-fvisibility=hidden"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]


def declarations() -> str:
    """The part of helper.h between its [cffi marks."""
    text = (HERE / "helper.h").read_text()
    return text.split("/* [cffi */")[1].split("/* cffi] */")[0]


def make_ffi(csrc: str) -> FFI:
    """`csrc` is this directory: setuptools wants it relative, cffi's own compile, which changes directory, absolute."""
    ffi = FFI()
    ffi.cdef(declarations())
    sanitize = SANITIZERS if os.environ.get("SANITIZE") else []
    ffi.set_source(
        "_pyrunc_helper",
        '#include "helper.h"',
        sources=[f"{csrc}/helper.c"],
        include_dirs=[csrc],
        depends=[f"{csrc}/helper.h", f"{csrc}/newer.h"],
        extra_compile_args=[*WARNINGS, *HARDENING, *sanitize],
        extra_link_args=["-Wl,-z,relro,-z,now", *sanitize],
        py_limited_api=True,
    )
    return ffi


ffi = make_ffi(os.path.relpath(HERE))


def build_module(name: str, out: Path) -> None:
    """For the interpreter that runs this, unlike the helper: it uses more than the stable interface."""
    sanitize = SANITIZERS if os.environ.get("SANITIZE") else []
    target = out / f"_pyrunc_{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = ["gcc", "-std=gnu11", "-shared", "-fPIC", *WARNINGS, *HARDENING, *sanitize, "-Wl,-z,relro,-z,now"]
    command += [f"-I{sysconfig.get_path('include')}", "-o", f"{target}.new"]
    command += map(str, sorted(HERE.glob(f"{name}*.c")))
    subprocess.run(command, check=True)
    Path(f"{target}.new").replace(target)


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    work = out.parent / "helper"
    module = Path(make_ffi(str(HERE)).compile(tmpdir=str(work)))
    shutil.copy2(module, out / module.name)
    shutil.copy2(_cffi_backend.__file__, out / Path(_cffi_backend.__file__).name)
    for name in MODULES:
        build_module(name, out)


if __name__ == "__main__":
    main()
