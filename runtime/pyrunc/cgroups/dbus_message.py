"""D-Bus messages as bytes: the part of the marshalling that systemd's interface needs (D-Bus specification).

A value is given with its signature.  y u i t x are integers, b a bool, s o g texts, v a pair (signature, value), a…
a list (ay: bytes), (…) a tuple.  Only little-endian messages are made, and only such are read: both ends are on one
machine.  Reading is strict: whatever the specification calls invalid, or is longer than it may be, is a ProtocolError.
"""

from __future__ import annotations

from ocispec.record import Record
from pyrunc.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY_EXPECTED = 1
FIXED_HEADER = 16  # bytes up to the length of the array of header fields, itself included
PROTOCOL_VERSION = 1
# The specification allows 128 MiB; what systemd answers to our calls is below a kilobyte.
MOST_BYTES = 1 << 20
MOST_NESTED = 16

_ALIGNMENT = {"y": 1, "b": 4, "u": 4, "i": 4, "t": 8, "x": 8, "s": 4, "o": 4, "g": 1, "v": 1, "a": 4, "(": 8}
_INTEGERS = {"y": (1, False), "u": (4, False), "i": (4, True), "t": (8, False), "x": (8, True)}
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SENDER, _SIGNATURE = range(1, 9)
_FIELDS = {
    _PATH: ("path", "o"),
    _INTERFACE: ("interface", "s"),
    _MEMBER: ("member", "s"),
    _ERROR_NAME: ("error_name", "s"),
    _REPLY_SERIAL: ("reply_serial", "u"),
    _DESTINATION: ("destination", "s"),
    _SENDER: ("sender", "s"),
    _SIGNATURE: ("signature", "g"),
}


class Message(Record):
    """A message that was received; the body is read by `body_of`."""

    kind: int
    serial: int
    body: bytes
    path: str = ""
    interface: str = ""
    member: str = ""
    error_name: str = ""
    reply_serial: int = 0
    destination: str = ""
    sender: str = ""
    signature: str = ""


def encode_call(
    serial: int,
    address: tuple[str, str, str],
    member: str,
    signature: str = "",
    arguments: Sequence[object] = (),
    *,
    wants_reply: bool = True,
) -> bytes:
    """A method call.  `address` is (destination, object path, interface); no destination without a bus."""
    destination, path, interface = address
    body = bytearray()
    for kind, value in zip(split_signature(signature), arguments, strict=True):
        write(body, kind, value)
    fields: list[object] = [(_PATH, ("o", path)), (_INTERFACE, ("s", interface)), (_MEMBER, ("s", member))]
    if destination:
        fields.append((_DESTINATION, ("s", destination)))
    if signature:
        fields.append((_SIGNATURE, ("g", signature)))
    out = bytearray((ord("l"), CALL, 0 if wants_reply else NO_REPLY_EXPECTED, PROTOCOL_VERSION))
    write(out, "u", len(body))
    write(out, "u", serial)
    write(out, "a(yv)", fields)
    _pad(out, 8)
    return bytes(out + body)


def write(out: bytearray, kind: str, value: Any) -> None:
    """Append one value of one complete type; it is aligned as counted from the beginning of `out`."""
    code = kind[0]
    _pad(out, _ALIGNMENT[code])
    if code in _INTEGERS:
        size, signed = _INTEGERS[code]
        out += value.to_bytes(size, "little", signed=signed)
    elif code == "b":
        out += int(value).to_bytes(4, "little")
    elif code in "sog":
        encoded = value.encode("utf-8", "surrogateescape")
        out += len(encoded).to_bytes(1 if code == "g" else 4, "little") + encoded + b"\0"
    elif code == "v":
        write(out, "g", value[0])
        write(out, value[0], value[1])
    elif code == "(":
        for part, one in zip(split_signature(kind[1:-1]), value, strict=True):
            write(out, part, one)
    else:
        _write_array(out, kind[1:], value)


def _write_array(out: bytearray, element: str, values: Sequence[object]) -> None:
    at = len(out)
    out += bytes(4)
    _pad(out, _ALIGNMENT[element[0]])  # not counted in the length
    first = len(out)
    for one in values:
        write(out, element, one)
    out[at : at + 4] = (len(out) - first).to_bytes(4, "little")


def _pad(out: bytearray, alignment: int) -> None:
    out += bytes(-len(out) % alignment)


def split_signature(signature: str) -> list[str]:
    """`sa(sv)u` to its complete types.  Raises ProtocolError for what is no signature, or of types not known here."""
    found = []
    at = 0
    while at < len(signature):
        end = _end_of_type(signature, at, 0)
        found.append(signature[at:end])
        at = end
    return found


def _end_of_type(signature: str, at: int, depth: int) -> int:
    code = signature[at : at + 1]
    if depth > MOST_NESTED or code not in _ALIGNMENT:  # "" is not in it either
        raise ProtocolError(f"D-Bus: signature {signature!r} is not one of ours")
    if code == "a":
        return _end_of_type(signature, at + 1, depth + 1)
    if code != "(":
        return at + 1
    at += 1
    first = at
    while signature[at : at + 1] != ")":
        at = _end_of_type(signature, at, depth + 1)
    if at == first:
        raise ProtocolError(f"D-Bus: signature {signature!r} has an empty structure")
    return at + 1


def size_of(head: bytes) -> int:
    """How long the message is that begins with these 16 bytes."""
    if head[:1] != b"l" or head[3:4] != b"\x01":
        raise ProtocolError("D-Bus: not a little-endian message of version 1")
    body, fields = int.from_bytes(head[4:8], "little"), int.from_bytes(head[12:16], "little")
    size = FIXED_HEADER + fields + -fields % 8 + body
    if size > MOST_BYTES:
        raise ProtocolError(f"D-Bus: a message of {size} bytes is longer than any that was asked for")
    return size


def decode(content: bytes) -> Message:
    """One whole message, `size_of` it long."""
    kind, serial = content[1], int.from_bytes(content[8:12], "little")
    if kind == 0 or serial == 0:
        raise ProtocolError("D-Bus: a message without a type or a serial")
    reader = Reader(content, 12)
    values: dict[str, Any] = {}
    for code, (signature, value) in reader.read("a(yv)"):
        name, wanted = _FIELDS.get(code, ("", ""))
        if name and (signature != wanted or name in values):
            raise ProtocolError(f"D-Bus: header field {name} is not what it must be")
        if name:  # others are to be ignored, the specification says
            values[name] = value
    reader.align(8)
    body = content[reader.at :]
    if len(body) != int.from_bytes(content[4:8], "little"):
        raise ProtocolError("D-Bus: the body is not as long as the header says")
    return Message(kind=kind, serial=serial, body=body, **values)


def body_of(message: Message, signature: str) -> tuple[Any, ...]:
    """The arguments, which must be of this signature and nothing else."""
    if message.signature != signature:
        raise ProtocolError(f"D-Bus: {message.member or 'an answer'} holds {message.signature!r}, not {signature!r}")
    reader = Reader(message.body, 0)
    values = tuple(reader.read(kind) for kind in split_signature(signature))
    if reader.at != len(message.body):
        raise ProtocolError("D-Bus: something follows the arguments")
    return values


class Reader:
    """Values out of bytes, from `at` on; no value reaches beyond the end."""

    __slots__ = ("at", "content", "depth")

    def __init__(self, content: bytes, at: int) -> None:
        self.content = content
        self.at = at
        self.depth = 0

    def align(self, alignment: int) -> None:
        if any(self.take(-self.at % alignment)):
            raise ProtocolError("D-Bus: padding that is not zero")

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.content):
            raise ProtocolError("D-Bus: a message ends in the middle of a value")
        found = self.content[self.at : end]
        self.at = end
        return found

    def read(self, kind: str) -> Any:
        """One value of one complete type."""
        code = kind[0]
        self.align(_ALIGNMENT[code])
        if code in _INTEGERS:
            size, signed = _INTEGERS[code]
            return int.from_bytes(self.take(size), "little", signed=signed)
        if code == "b":
            return self._boolean()
        if code in "sog":
            return self._text(1 if code == "g" else 4)
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise ProtocolError("D-Bus: values nested too deep")
        value = self._variant() if code == "v" else self._structure(kind) if code == "(" else self._array(kind[1:])
        self.depth -= 1
        return value

    def _boolean(self) -> bool:
        value = int.from_bytes(self.take(4), "little")
        if value > 1:
            raise ProtocolError("D-Bus: a boolean that is neither 0 nor 1")
        return value == 1

    def _text(self, length_size: int) -> str:
        content = self.take(int.from_bytes(self.take(length_size), "little"))
        if self.take(1) != b"\0" or b"\0" in content:
            raise ProtocolError("D-Bus: a text that does not end where it should")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("D-Bus: a text that is not UTF-8") from error

    def _variant(self) -> tuple[str, Any]:
        signature = self._text(1)
        if len(split_signature(signature)) != 1:
            raise ProtocolError(f"D-Bus: a variant of signature {signature!r}")
        return signature, self.read(signature)

    def _structure(self, kind: str) -> tuple[Any, ...]:
        return tuple(self.read(part) for part in split_signature(kind[1:-1]))

    def _array(self, element: str) -> list[Any] | bytes:
        size = int.from_bytes(self.take(4), "little")
        self.align(_ALIGNMENT[element[0]])
        end = self.at + size
        if end > len(self.content):
            raise ProtocolError("D-Bus: an array that is longer than its message")
        if element == "y":
            return self.take(size)
        found = []
        while self.at < end:
            found.append(self.read(element))
        if self.at != end:
            raise ProtocolError("D-Bus: an array that ends in the middle of an element")
        return found
