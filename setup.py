"""The two packages, the helper, the stage and the launcher, for pip.  Everything declarative is in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
LAUNCHER = "build/pip/pyrunc"


class BuildPackages(build_py):
    """Builds the launcher first, for the interpreter that pip installs for.

    LAUNCHER=static, shared or script asks for that kind, as with make; else it is the first that can be built.
    """

    def run(self) -> None:
        kind = os.environ.get("LAUNCHER")
        command = [sys.executable, "-I", str(HERE / "csrc/build_launcher.py"), LAUNCHER, "beside"]
        subprocess.run([*command, *(["--kind", kind] if kind else [])], check=True)
        super().run()


# The packages are where the directory of this script is, wherever pip has put it.
COLD = """own = posix.open(__file__, posix.O_RDONLY | posix.O_CLOEXEC)
packages = posix.readlink(f"/proc/self/fd/{own}").rpartition("/_pyrunc_cold/")[0]
posix.close(own)
sys.path.append(packages)
"""


def write_cold_launcher(out: Path) -> None:
    """What a static launcher leaves for (runtime/pyrunc/cli/cold.py): the parts of csrc/make_launcher.py's script."""
    parts = run_path(str(HERE / "csrc/make_launcher.py"))
    head = parts["HEAD"].format(interpreter=os.path.realpath(sys.executable), flags=parts["FLAGS"])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(head + COLD + parts["MAIN"])
    out.chmod(0o755)


class BuildHelper(build_ext):
    """Builds the stage beside the helper: kernel/lib.py looks for it there."""

    def run(self) -> None:
        super().run()
        target = HERE if self.inplace else Path(self.build_lib)
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["sh", str(HERE / "csrc/build_stage.sh"), str(target / "_pyrunc_stage")], check=True)
        write_cold_launcher(target / "_pyrunc_cold/pyrunc")

    def get_outputs(self) -> list[str]:
        return [
            *super().get_outputs(),
            *(str(Path(self.build_lib) / name) for name in ("_pyrunc_stage", "_pyrunc_cold/pyrunc")),
        ]


Path(LAUNCHER).parent.mkdir(parents=True, exist_ok=True)
Path(LAUNCHER).touch()  # setuptools looks for data files before any command runs

setup(
    packages=[*find_packages("runtime"), *find_packages("spec")],
    package_dir={"pyrunc": "runtime/pyrunc", "ocispec": "spec/ocispec"},
    package_data={"ocispec": ["schemas/*.json", "*.json"]},
    # entry_points and scripts= would put a script of their own in its place; data_files keeps the file as it is
    data_files=[("bin", [LAUNCHER])],
    cffi_modules=["csrc/build.py:ffi"],
    ext_modules=[
        Extension(f"_pyrunc_{name}", sorted(f"csrc/{path.name}" for path in (HERE / "csrc").glob(f"{name}*.c")))
        for name in ("assembler", "json")
    ],
    cmdclass={"build_py": BuildPackages, "build_ext": BuildHelper},
)
