"""The C helper, found: the cffi module, or the same functions as a module built into the launcher (csrc/binding.py).

The only importer of the helper.  `check` is the only place where -errno becomes an OSError.
"""

from __future__ import annotations

import sys
from posix import strerror

import _pyrunc_helper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

helper: Any = _pyrunc_helper.lib
# cffi's pointers, or None in the launcher: there a pointer is any buffer that can be written.
_ffi: Any = getattr(_pyrunc_helper, "ffi", None)
_INT_SIZE = 4


def library_directory() -> str:
    """Where the stage is: the launcher says so, and without it, it is beside the helper."""
    found: str = getattr(sys, "pyrunc_library", "") or _pyrunc_helper.__file__.rpartition("/")[0]
    return found


def check(result: int) -> int:
    """The result of a helper function; raises OSError when it is -errno."""
    if result < 0:
        raise OSError(-result, strerror(-result))
    return result


def integers(count: int) -> Any:
    """An array of C ints for a helper function to read or fill."""
    if _ffi is None:
        return memoryview(bytearray(count * _INT_SIZE)).cast("i")
    return _ffi.new("int[]", count)


def integer_array(values: list[int]) -> Any:
    array = integers(len(values))
    for index, value in enumerate(values):
        array[index] = value
    return array


def unsigned() -> Any:
    """One uint64_t for a helper function to fill."""
    return memoryview(bytearray(8)).cast("Q") if _ffi is None else _ffi.new("uint64_t *")


def unsigned_array(count: int) -> Any:
    """An array of uint32_t for a helper function to fill."""
    return memoryview(bytearray(count * _INT_SIZE)).cast("I") if _ffi is None else _ffi.new("uint32_t[]", count)


def buffer(size: int) -> Any:
    return bytearray(size) if _ffi is None else _ffi.new("char[]", size)
