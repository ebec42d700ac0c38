"""Reader: takes values out of a decoded JSON object and knows where in the document it is.

Rule 1: types are strict.  true is not 1, 1.0 is not 1, and null is the same as an absent key (as Go decodes it).
Rule 2: keys match exactly.  Go also takes "CWD" for "cwd"; we do not: two spellings of one key are two ways to
        say different things to two readers of the same file.
Rule 3: no string holds NUL (it would end early in every system call) or half of a surrogate pair (no bytes exist
        for it).
Rule 4: unknown keys are ignored, as config.md#extensibility demands, and listed in `warnings`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

UINT16_MAX = 0xFFFF
UINT32_MAX = 0xFFFF_FFFF
UINT64_MAX = 0xFFFF_FFFF_FFFF_FFFF
INT64_MIN = -0x8000_0000_0000_0000
INT64_MAX = 0x7FFF_FFFF_FFFF_FFFF
ID_MAX = UINT32_MAX - 1  # (uid_t)-1 means "no change" in setresuid(2) and chown(2)

SHOWN_LENGTH = 60
MOST_WARNINGS = 100  # guessing what was meant takes time, and nobody reads more


class SpecError(Exception):
    """A document that cannot be accepted.  `path` is "" for the whole document, else like `mounts[3].options`."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class Reader:
    """One JSON object.  Each method takes a key and raises SpecError, or, where `problems` is a list, appends
    the SpecError there and answers as if the key were absent."""

    __slots__ = ("_asked", "_found", "_key", "_parent", "_values", "problems", "warnings")

    def __init__(
        self,
        values: Mapping[str, object],
        parent: Reader | None = None,
        key: str = "",
        warnings: list[str] | None = None,
        problems: list[SpecError] | None = None,
    ) -> None:
        self._values = values
        self._parent = parent
        self._key = key
        self._asked: list[str] = []
        self._found = 0  # of those; nobody asks for a key twice
        self.warnings = warnings
        self.problems = problems

    # where

    def path(self, key: str = "") -> str:
        """`process.user.uid`; `key` may carry an index ("options[2]") or be one ("[2]")."""
        here = self._key
        if self._parent is not None:
            here = self._parent.path(here)
        if not key or not here or key[0] == "[":
            return here + key
        return f"{here}.{key}"

    def refuse(self, key: str, problem: str) -> None:
        error = SpecError(self.path(key), problem)
        if self.problems is None:
            raise error
        self.problems.append(error)

    def warn(self, key: str, text: str) -> None:
        if self.warnings is not None:
            self.warnings.append(f"{self.path(key)}: {text}")

    def _wrong(self, key: str, wanted: str, value: object) -> None:
        self.refuse(key, f"must be {wanted}, not {shown(value)}")

    def _take(self, key: str, kind: type[T], wanted: str, *, required: bool = False) -> T | None:
        """The value if it is there and exactly of the type, else None."""
        self._asked.append(key)
        value = self._values.get(key)
        if value is None:
            if required:
                self.refuse(key, "is missing")
            return None
        self._found += 1
        if type(value) is not kind:
            self._wrong(key, wanted, value)
            return None
        return value

    # scalars

    def string(self, key: str, *, required: bool = False, words: tuple[str, ...] = ()) -> str:
        """Empty when absent.  With `words` it must be one of them.  A required string is not empty."""
        given = self._values.get(key)
        if type(given) is str and given and not words and given.isascii() and "\0" not in given:  # nearly all are
            self._asked.append(key)
            self._found += 1
            return given
        value = self._take(key, str, "a string", required=required)
        if value is None or not self._is_clean(key, value):
            return ""
        if words and value not in words:
            self._not_a_word(key, value, words)
            return ""
        if required and not value:
            self.refuse(key, "must not be empty")
        return value

    def absolute_path(self, key: str, *, required: bool = False) -> str:
        value = self.string(key, required=required)
        if value and value[0] != "/":
            self.refuse(key, f"must be an absolute path, not {shown(value)}")
        return value

    def boolean(self, key: str, *, required: bool = False) -> bool:
        return self._take(key, bool, "true or false", required=required) is True

    def optional_boolean(self, key: str) -> bool | None:
        return self._take(key, bool, "true or false")

    def optional_integer(self, key: str, low: int, high: int, *, required: bool = False) -> int | None:
        value = self._take(key, int, "an integer", required=required)
        if value is None or low <= value <= high:
            return value
        self._wrong(key, f"from {low} to {high}", value)
        return None

    def integer(self, key: str, low: int, high: int, *, default: int = 0) -> int:
        value = self.optional_integer(key, low, high)
        return default if value is None else value

    def required_integer(self, key: str, low: int, high: int) -> int:
        value = self.optional_integer(key, low, high, required=True)
        return 0 if value is None else value

    # lists

    def strings(self, key: str, *, required: bool = False, words: tuple[str, ...] = ()) -> tuple[str, ...]:
        given = self._values.get(key)
        if type(given) is list and given and not words and _are_plain(given):  # nearly all are
            self._asked.append(key)
            self._found += 1
            return tuple(given)
        found = self.optional_strings(key, words=words)
        if required and found == ():
            self.refuse(key, "must have at least one entry")
        if required and self._values.get(key) is None:
            self.refuse(key, "is missing")
        return found or ()

    def optional_strings(self, key: str, *, words: tuple[str, ...] = ()) -> tuple[str, ...] | None:
        """None when absent, () when empty."""
        items = self._take(key, list, "a list of strings")
        if items is None:
            return None
        for index, item in enumerate(items):
            if type(item) is not str:
                self._wrong(f"{key}[{index}]", "a string", item)
            elif "\0" in item or not item.isascii():
                self._is_clean(f"{key}[{index}]", item)
            if words and item not in words:
                self._not_a_word(f"{key}[{index}]", item, words)
        return tuple(items)

    def absolute_paths(self, key: str) -> tuple[str, ...]:
        paths = self.strings(key)
        for index, path in enumerate(paths):
            if type(path) is str and path[:1] != "/":  # what is no string has been refused already
                self.refuse(f"{key}[{index}]", f"must be an absolute path, not {shown(path)}")
        return paths

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        items = self._take(key, list, "a list of integers") or []
        for index, item in enumerate(items):
            if type(item) is not int:
                self._wrong(f"{key}[{index}]", "an integer", item)
            elif not low <= item <= high:
                self._wrong(f"{key}[{index}]", f"from {low} to {high}", item)
        return tuple(items)

    # objects

    def record(self, key: str, parse: Callable[[Reader], T]) -> T | None:
        """None when absent."""
        value = self._take(key, dict, "an object")
        return None if value is None else self._enter(key, value, parse)

    def required_record(self, key: str, parse: Callable[[Reader], T]) -> T:
        value = self._take(key, dict, "an object", required=True)
        if value is None:  # said already: what the empty object lacks is no news
            return parse(Reader({}, problems=[]))
        return self._enter(key, value, parse)

    def records(self, key: str, parse: Callable[[Reader], T]) -> tuple[T, ...]:
        if self._values.get(key) is None:  # most records have none
            self._asked.append(key)
            return ()
        value = self._take(key, list, "a list of objects")
        if value is None:
            return ()
        found: list[T] = []
        for index, item in enumerate(value):
            if type(item) is dict:
                found.append(self._enter(f"{key}[{index}]", item, parse))
            else:
                self._wrong(f"{key}[{index}]", "an object", item)
        return tuple(found)

    def map_of(self, key: str, parse: Callable[[Reader], T], *, words: tuple[str, ...] = ()) -> dict[str, T]:
        """An object whose keys are names of the user's (or one of `words`) and whose values are objects."""
        found: dict[str, T] = {}
        for name, item in self._map(key).items():
            place = f"{key}[{shown(name)}]"
            if words and name not in words:
                self._not_a_word(place, name, words)
            elif type(item) is not dict:
                self._wrong(place, "an object", item)
            elif self._is_clean(place, name):
                found[name] = self._enter(place, item, parse)
        return found

    def string_map(self, key: str) -> dict[str, str]:
        found = self._map(key)
        for name, item in found.items():
            place = f"{key}[{shown(name)}]"
            if type(item) is not str:
                self._wrong(place, "a string", item)
            elif self._is_clean(place, name):
                self._is_clean(place, item)
        return dict(found)  # type: ignore[arg-type]  # checked above

    def _map(self, key: str) -> dict[str, object]:
        return self._take(key, dict, "an object") or {}

    def _enter(self, key: str, values: dict[str, object], parse: Callable[[Reader], T]) -> T:
        inner = Reader(values, self, key, self.warnings, self.problems)
        result = parse(inner)
        inner.finish()
        return result

    # keys nobody asked for

    def ignore(self, key: str, why: str) -> None:
        """A key of the spec that has no effect here."""
        self._asked.append(key)
        if self._values.get(key) is not None:
            self.warn(key, f"{why}, ignoring")

    def finish(self) -> None:
        """Warn of the keys that nobody asked for, in the order of the file."""
        if self._found == len(self._values) or self.warnings is None or self._values.keys() <= set(self._asked):
            return
        from ocispec.spelling import closest  # cold: only for misspelt files

        for key in self._values:
            if key not in self._asked and len(self.warnings) < MOST_WARNINGS:
                meant = closest(key, self._asked)
                self.warn(plain(key), "unknown key, ignoring" + (f" (did you mean {meant}?)" if meant else ""))

    # checks of one value

    def _is_clean(self, key: str, text: str) -> bool:
        if "\0" in text:
            self.refuse(key, f"must not hold a NUL character: {shown(text)}")
            return False
        if not text.isascii() and has_surrogate(text):
            self.refuse(key, f"must not hold half a surrogate pair: {shown(text)}")
            return False
        return True

    def _not_a_word(self, key: str, value: object, words: tuple[str, ...]) -> None:
        from ocispec.spelling import closest

        meant = closest(value, words) if type(value) is str else ""
        hint = f" (did you mean {meant}?)" if meant else ""
        self.refuse(key, f"must be one of {', '.join(filter(None, words))}, not {shown(value)}{hint}")


def _are_plain(texts: list[Any]) -> bool:
    """Whether they are strings without anything that has to be looked at."""
    try:
        together = "".join(texts)
    except TypeError:
        return False
    return together.isascii() and "\0" not in together


def has_surrogate(text: str) -> bool:
    return any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def plain(text: str) -> str:
    """The text if it can stand in a path as it is, else quoted."""
    return text if text.isidentifier() and text.isascii() else f"[{shown(text)}]"


def shown(value: object) -> str:
    """A value for a message: on one line, short, printable ASCII apart from letters of other scripts."""
    if type(value) is str:
        cut = value if len(value) <= SHOWN_LENGTH else value[:SHOWN_LENGTH] + "…"
        # The escapes of Python's repr are JSON's for all that a terminal could misread.
        return '"' + repr(cut + '"')[1:-2].replace("\\'", "'").replace('"', '\\"') + '"'
    if type(value) is dict:
        return "an object"
    if type(value) is list:
        return "a list"
    if type(value) is bool:
        return "true" if value else "false"
    if value is None:
        return "null"
    if type(value) is int and abs(value) > UINT64_MAX:
        return "a number of more than 64 bits"
    return repr(value)
