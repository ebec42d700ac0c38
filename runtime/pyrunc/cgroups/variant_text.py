"""GVariant's text format (GLib: "GVariant Text Format"), as `org.systemd.property.*` annotations have it.

`'text'`, `true`, `5`, `uint64 5`, `1.5`, `['a', 'b']`, `@as []`, `[('/dev/null', 'rw')]`.  What has no place in a
unit's property is left out: dictionaries, variants, maybes.
"""

from __future__ import annotations

from pyrunc.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_TYPES = {
    "boolean": "b",
    "byte": "y",
    "int32": "i",
    "uint32": "u",
    "int64": "x",
    "uint64": "t",
    "string": "s",
    "objectpath": "o",
}
_RANGES = {
    "y": (0, 255),
    "i": (-(1 << 31), (1 << 31) - 1),
    "u": (0, (1 << 32) - 1),
    "x": (-(1 << 63), (1 << 63) - 1),
    "t": (0, (1 << 64) - 1),
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._")
_MOST_NESTED = 8


def parse_variant(text: str) -> tuple[str, Any]:
    """(signature, value); "d" is a Python float.  Raises ConfigError, which quotes the text."""
    parser = _Parser(text)
    found = parser.value("", 0)
    parser.space()
    if parser.at != len(text):
        raise parser.wrong()
    return found


class _Parser:
    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def wrong(self) -> ConfigError:
        return ConfigError(f"{self.text!r} is not a value in GVariant's text format, at character {self.at + 1}")

    def space(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t", "\n", "\r"):
            self.at += 1

    def is_next(self, character: str) -> bool:
        self.space()
        if self.text[self.at : self.at + 1] != character:
            return False
        self.at += 1
        return True

    def word(self) -> str:
        first = self.at
        while self.text[self.at : self.at + 1] and self.text[self.at] in _WORD:
            self.at += 1
        return self.text[first : self.at]

    def value(self, wanted: str, depth: int) -> tuple[str, Any]:
        """`wanted` is the signature it must have, "" for what it looks like."""
        if depth > _MOST_NESTED:
            raise self.wrong()
        if self.is_next("@"):
            first = self.at
            while self.text[self.at : self.at + 1] not in ("", " "):
                self.at += 1
            return self.value(self.text[first : self.at], depth + 1)
        if self.is_next("["):
            return self._array(wanted, depth)
        if self.is_next("("):
            return self._tuple(wanted, depth)
        for quote in ("'", '"'):
            if self.is_next(quote):
                return self._typed(wanted or "s", self._quoted(quote))
        word = self.word()
        if word in _TYPES:
            return self.value(_TYPES[word], depth + 1)
        return self._scalar(wanted, word)

    def _scalar(self, wanted: str, word: str) -> tuple[str, Any]:
        if word in ("true", "false"):
            return self._typed(wanted or "b", word == "true")
        try:
            if not wanted and ("." in word or "e" in word) and not word.startswith(("0x", "-0x")):
                return "d", float(word)
            return self._typed(wanted or "i", int(word, 16 if "0x" in word else 10))
        except ValueError:
            raise self.wrong() from None

    def _typed(self, wanted: str, value: bool | int | str) -> tuple[str, Any]:
        fits = {"b": bool, "s": str, "o": str}.get(wanted, int if wanted in _RANGES else None)
        if fits is None or type(value) is not fits:
            raise self.wrong()
        if isinstance(value, int) and wanted in _RANGES and not _RANGES[wanted][0] <= value <= _RANGES[wanted][1]:
            raise self.wrong()
        return wanted, value

    def _quoted(self, quote: str) -> str:
        found = ""
        while (character := self.text[self.at : self.at + 1]) != quote:
            self.at += 1
            if character == "\\":
                character = self.text[self.at : self.at + 1]
                self.at += 1
                character = _ESCAPES.get(character, character)
            if not character or character == "\0":
                raise self.wrong()
            found += character
        self.at += 1
        return found

    def _array(self, wanted: str, depth: int) -> tuple[str, Any]:
        if wanted and wanted[0] != "a":
            raise self.wrong()
        element = wanted[1:]
        found: list[Any] = []
        while not self.is_next("]"):
            if found and not self.is_next(","):
                raise self.wrong()
            element, one = self.value(element, depth + 1)
            found.append(one)
        if not element:  # an empty one of no known type
            raise self.wrong()
        return f"a{element}", found

    def _tuple(self, wanted: str, depth: int) -> tuple[str, Any]:
        if wanted:  # an element after the first: it must come to the same
            signature, found = self._tuple("", depth)
            if signature != wanted:
                raise self.wrong()
            return signature, found
        parts: list[str] = []
        values: list[Any] = []
        while not self.is_next(")"):
            if parts and not self.is_next(","):
                raise self.wrong()
            if parts and self.is_next(")"):
                break
            part, value = self.value("", depth + 1)
            parts.append(part)
            values.append(value)
        if not parts:
            raise self.wrong()
        return f"({''.join(parts)})", tuple(values)
