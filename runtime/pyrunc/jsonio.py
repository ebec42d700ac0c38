"""JSON in and out, without the json package (11 ms to import): the C scanner and encoder below it, used directly.

Stricter than json.loads: duplicate keys, NaN, infinities, a byte order mark, text after the value, deep nesting and
very large input are errors.  A file that two readers can understand differently is
refused here, before anybody looks at it.

Half surrogate pairs stay what they are in both directions ("\\udcff"): that is how the path of a bundle that is not
UTF-8 survives in state.json.  ocispec refuses them in documents that come from outside.
"""

from __future__ import annotations

from _json import encode_basestring, make_encoder, make_scanner

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

MAX_SIZE = 16 << 20
MAX_DEPTH = 128  # the deepest path of config.json has 8 levels
_WHITESPACE = " \t\n\r"
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonError(PyruncError):
    """Not JSON, or JSON that is not accepted; the text has line and column where there is one place to show."""


class _Fault(Exception):
    """Raised inside the scanner's callbacks; becomes a JsonError."""


def loads(content: bytes) -> object:
    """The value of a JSON document: dict, list, str, int, float, bool or None.  Raises JsonError."""
    text = _decode(content)
    _check_depth(content)
    start = text.lstrip(_WHITESPACE)
    try:
        value, end = _scan(start, 0)
    except (StopIteration, ValueError, ImportError, SystemError, _Fault):
        # Python 3.11's scanner looks for json.decoder to raise its JSONDecodeError (a ValueError), and returns with no
        # exception when nobody has imported it: SystemError.  Later ones import it: ImportError where there is none,
        # as in the launcher.  ValueError is also int()'s answer to 4300 digits.
        _refuse(text)
    if start[end:].strip(_WHITESPACE):
        _refuse(text)
    return value


def dumps(value: object, indent: int | str = 0) -> str:
    """JSON text as Go's encoding/json spaces it; never escapes what needs no escape ("/", "<", letters).

    `indent` is the number of spaces, or the characters, of one level; with 0 everything is on one line without spaces.
    Raises TypeError for anything that is not JSON, ValueError for NaN: those are bugs, not input.
    """
    unit = " " * indent if isinstance(indent, int) else indent
    text = _indented(value, unit, "\n") if unit else _compact(value)
    return text if text.isascii() else _escape_surrogates(text)


# in


def _decode(content: bytes) -> str:
    if len(content) > MAX_SIZE:
        raise JsonError(f"is larger than {MAX_SIZE >> 20} MiB")
    if content[:3] == _BYTE_ORDER_MARK:
        raise JsonError("line 1, column 1: starts with a byte order mark")
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError as error:
        before = str(content[: error.start], "utf-8")
        raise JsonError(f"{place(before, len(before))}: byte 0x{content[error.start]:02x} is not UTF-8") from error


def _check_depth(content: bytes) -> None:
    """Before the scanner recurses.  Only brackets outside strings count; most of the work is done by bytes methods."""
    if content.count(b"[") + content.count(b"{") <= MAX_DEPTH:
        return
    bare = b"".join(content.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = 0
    for bracket in bare.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise JsonError(f"is nested more than {MAX_DEPTH} levels deep")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Fault
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if number - number != 0:  # 1e999 is infinity to float()
        raise _Fault
    return number


def _constant(_name: str) -> NoReturn:
    raise _Fault


class _Rules:
    """What make_scanner asks of json.JSONDecoder; `strict` refuses control characters in strings."""

    strict = True
    object_hook = None
    object_pairs_hook = _object
    parse_float = _finite
    parse_int = int
    parse_constant = _constant


_scan: Any = make_scanner(_Rules)  # type: ignore[arg-type]  # typeshed: an instance of itself


def _refuse(text: str) -> NoReturn:
    from pyrunc.json_faults import find_fault  # cold: a second reading, slow and exact

    offset, problem = find_fault(text)
    raise JsonError(f"{place(text, offset)}: {problem}")


def place(text: str, offset: int) -> str:
    """`line 3, column 14`, both from 1, columns in characters."""
    line_start = text.rfind("\n", 0, offset) + 1
    return f"line {text.count(chr(10), 0, offset) + 1}, column {offset - line_start + 1}"


# out


def _not_json(value: object) -> NoReturn:
    raise TypeError(f"no JSON for {type(value).__name__}")


# markers, default, encoder, indent, key separator, item separator, sort keys, skip keys, allow NaN
_encode: Any = make_encoder(None, _not_json, encode_basestring, None, ":", ",", False, False, False)  # noqa: FBT003


def _compact(value: object) -> str:
    return "".join(_encode(value, 0))


def _indented(value: object, unit: str, newline: str) -> str:
    inner = newline + unit
    if isinstance(value, dict) and value:
        lines = [f"{encode_basestring(key)}: {_indented(item, unit, inner)}" for key, item in value.items()]
        return "{" + inner + f",{inner}".join(lines) + newline + "}"
    if isinstance(value, list | tuple) and value:
        return "[" + inner + f",{inner}".join([_indented(item, unit, inner) for item in value]) + newline + "]"
    return _compact(value)


def _escape_surrogates(text: str) -> str:
    """They occur only inside strings, so the text as a whole may be walked."""
    return "".join([f"\\u{ord(letter):04x}" if 0xD800 <= ord(letter) <= 0xDFFF else letter for letter in text])
