"""The tests of what stands on the helper, over the binding that the launcher has; and its C under the sanitizers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helper_module import SANITIZERS, TOP, build_modules

if TYPE_CHECKING:
    from pathlib import Path

PATHS = ("runtime", "spec", "build/lib", "tests", "conformance")
OVER_THE_HELPER = (
    "tests/kernel/test_parent.py",
    "tests/kernel/test_session_keyring.py",
    "tests/properties/test_jsonio.py",
)


def pytest_over(directory: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """pytest in a process of its own that imports our modules from `directory`."""
    paths = " ".join([str(directory), *(str(TOP / path) for path in PATHS)])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={paths}", *words]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HELPER": str(directory), **settings}
    return subprocess.run(command, cwd=TOP, env=environment, capture_output=True, text=True, check=False)


def sanitizer_settings() -> dict[str, str]:
    """Python's own objects on malloc, so that what lies behind them is guarded; it never frees all of them."""
    found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return {
        "LD_PRELOAD": found.stdout.strip(),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_modules(tmp_path_factory.mktemp("sanitized"), *SANITIZERS)


def test_over_the_built_in_binding(tmp_path: Path) -> None:
    directory = build_modules(tmp_path)
    result = pytest_over(directory, *OVER_THE_HELPER)
    assert result.returncode == 0, result.stdout[-4000:]
    shown = subprocess.run(
        [sys.executable, "-c", "from pyrunc.kernel import lib; print(lib._ffi, lib.library_directory())"],
        env={"PYTHONPATH": f"{directory}:{TOP}/runtime:{TOP}/spec:{TOP}/build/lib"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert shown.stdout == f"None {directory}\n"


def test_helper_under_sanitizers(sanitized: Path) -> None:
    words = ("tests/kernel/test_helper.py", "-k", "not cffi")
    result = pytest_over(sanitized, *words, **sanitizer_settings())
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]


def test_the_other_modules_under_sanitizers(sanitized: Path) -> None:
    result = pytest_over(sanitized, "tests/properties/test_jsonio.py", "tests/unit/program", **sanitizer_settings())
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]


def test_the_sanitizers_see(sanitized: Path) -> None:
    """A hundred bytes are read where there are three."""
    script = "import _pyrunc_helper; _pyrunc_helper.pyrunc_connect_datagrams(bytes([47, 120, 121]), 100)"
    result = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(sanitized), **sanitizer_settings()}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert result.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in result.stderr
