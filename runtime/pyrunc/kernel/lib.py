"""The C helper, found: the cffi module, or the same functions as a module built into the launcher.

The only importer of the helper.  `check` is the only place where -errno becomes an OSError.
"""

from __future__ import annotations

from posix import strerror

import _pyrunc_helper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

helper: Any = _pyrunc_helper.lib
LIBRARY_DIRECTORY: str = _pyrunc_helper.__file__.rpartition("/")[0]


def check(result: int) -> int:
    """The result of a helper function; raises OSError when it is -errno."""
    if result < 0:
        raise OSError(-result, strerror(-result))
    return result


def integers(count: int) -> Any:
    """An array of C ints for a helper function to read or fill."""
    return _pyrunc_helper.ffi.new("int[]", count)


def integer_array(values: list[int]) -> Any:
    return _pyrunc_helper.ffi.new("int[]", values)


def unsigned() -> Any:
    """One uint64_t for a helper function to fill."""
    return _pyrunc_helper.ffi.new("uint64_t *")


def buffer(size: int) -> Any:
    return _pyrunc_helper.ffi.new("char[]", size)
