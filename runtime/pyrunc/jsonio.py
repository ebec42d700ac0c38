"""JSON in and out, without the json package (11 ms to import): csrc/json.c does the work.

Stricter than json.loads: duplicate keys, NaN, infinities, a byte order mark, text after the value, deep nesting and
very large input are errors.  A file that two readers can understand differently is
refused here, before anybody looks at it.

Half surrogate pairs stay what they are in both directions ("\\udcff"): that is how the path of a bundle that is not
UTF-8 survives in state.json.  ocispec refuses them in documents that come from outside.
"""

from __future__ import annotations

from _pyrunc_json import quote, read, write

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MAX_SIZE = 16 << 20
MAX_DEPTH = 128  # csrc/json.c counts; the deepest path of config.json has 8 levels
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonError(PyruncError):
    """Not JSON, or JSON that is not accepted; the text has line and column where there is one place to show."""


def loads(content: bytes) -> object:
    """The value of a JSON document: dict, list, str, int, float, bool or None.  Raises JsonError."""
    if len(content) > MAX_SIZE:
        raise JsonError(f"is larger than {MAX_SIZE >> 20} MiB")
    try:
        value: object = read(content)
    except ValueError:
        refuse(content)
    return value


def dumps(value: object, indent: int | str = 0) -> str:
    """JSON text as Go's encoding/json spaces it; never escapes what needs no escape ("/", "<", letters).

    `indent` is the number of spaces, or the characters, of one level; with 0 everything is on one line without spaces.
    Raises TypeError for anything that is not JSON, ValueError for NaN: those are bugs, not input.
    """
    unit = " " * indent if isinstance(indent, int) else indent
    text = _indented(value, unit, "\n") if unit else str(write(value))
    return text if text.isascii() else _escape_surrogates(text)


# in


def refuse(content: bytes) -> NoReturn:
    """Cold: a second reading, slow and exact."""
    from pyrunc.json_faults import find_fault

    text = _decode(content)
    _check_depth(content)
    offset, problem = find_fault(text)
    raise JsonError(f"{place(text, offset)}: {problem}")


def _decode(content: bytes) -> str:
    if content[:3] == _BYTE_ORDER_MARK:
        raise JsonError("line 1, column 1: starts with a byte order mark")
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        before = str(content[: error.start], "utf-8")
        raise JsonError(f"{place(before, len(before))}: byte 0x{content[error.start]:02x} is not UTF-8") from error


def _check_depth(content: bytes) -> None:
    """Only brackets outside strings count."""
    bare = b"".join(content.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = 0
    for bracket in bare.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise JsonError(f"is nested more than {MAX_DEPTH} levels deep")


def place(text: str, offset: int) -> str:
    """`line 3, column 14`, both from 1, columns in characters."""
    line_start = text.rfind("\n", 0, offset) + 1
    return f"line {text.count(chr(10), 0, offset) + 1}, column {offset - line_start + 1}"


# out


def _indented(value: object, unit: str, newline: str) -> str:
    inner = newline + unit
    if isinstance(value, dict) and value:
        lines = [f"{quote(key)}: {_indented(item, unit, inner)}" for key, item in value.items()]
        return "{" + inner + f",{inner}".join(lines) + newline + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + inner + f",{inner}".join([_indented(item, unit, inner) for item in value]) + newline + "]"
    return str(write(value))


def _escape_surrogates(text: str) -> str:
    """They occur only inside strings, so the text as a whole may be walked."""
    return "".join([f"\\u{ord(letter):04x}" if 0xD800 <= ord(letter) <= 0xDFFF else letter for letter in text])
