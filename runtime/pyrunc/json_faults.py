"""Where a text stops being the JSON that jsonio accepts, and why: read only after the fast scanner said no.

A plain walk over the characters.  Nesting is limited before (jsonio.MAX_DEPTH), so recursion is safe.
"""

from __future__ import annotations

_WHITESPACE = " \t\n\r"
_DIGITS = "0123456789"
_HEX = "0123456789abcdefABCDEF"
_ESCAPES = '"\\/bfnrt'
_LITERALS = ("true", "false", "null")
_NOT_JSON_LITERALS = ("NaN", "Infinity", "-Infinity")
_MAX_DIGITS = 4300  # int() refuses more (sys.int_info): the time it takes grows with the square


class _Found(Exception):
    def __init__(self, offset: int, problem: str) -> None:
        super().__init__(offset, problem)
        self.offset = offset
        self.problem = problem


def find_fault(text: str) -> tuple[int, str]:
    """The offset of the first fault and what it is.  Call it with texts that have one."""
    walker = _Walker(text)
    try:
        walker.value()
        walker.skip_whitespace()
        if walker.offset < len(text):
            walker.refuse(f"text after the end of the document: {walker.here()}")
    except _Found as fault:
        return fault.offset, fault.problem
    return 0, "is not JSON"


class _Walker:
    def __init__(self, text: str) -> None:
        self.text = text
        self.offset = 0

    def refuse(self, problem: str, offset: int | None = None) -> None:
        raise _Found(self.offset if offset is None else offset, problem)

    def here(self) -> str:
        if self.offset >= len(self.text):
            return "the end of the file"
        return repr(self.text[self.offset])

    def peek(self) -> str:
        return self.text[self.offset : self.offset + 1]

    def skip_whitespace(self) -> None:
        while self.peek() and self.peek() in _WHITESPACE:
            self.offset += 1

    def value(self) -> None:
        self.skip_whitespace()
        first = self.peek()
        if first == "{":
            self.object()
        elif first == "[":
            self.list()
        elif first == '"':
            self.string()
        elif self.text.startswith(_NOT_JSON_LITERALS, self.offset):
            self.refuse("NaN and infinities are not JSON")
        elif first and first in "-" + _DIGITS:
            self.number()
        else:
            self.literal()

    def object(self) -> None:
        seen: set[str] = set()
        self.offset += 1
        self.skip_whitespace()
        if self.peek() == "}":
            self.offset += 1
            return
        while True:
            self.skip_whitespace()
            start = self.offset
            if self.peek() != '"':
                self.refuse(f"a key in double quotes must stand here, not {self.here()}")
            key = self.string()
            if key in seen:
                self.refuse(f"key {key!a} is given twice", start)
            seen.add(key)
            self.skip_whitespace()
            if self.peek() != ":":
                self.refuse(f"a colon must stand here, not {self.here()}")
            self.offset += 1
            self.value()
            if self.ends_with("}"):
                return

    def list(self) -> None:
        self.offset += 1
        self.skip_whitespace()
        if self.peek() == "]":
            self.offset += 1
            return
        while True:
            self.value()
            if self.ends_with("]"):
                return

    def ends_with(self, bracket: str) -> bool:
        """Past a comma or the closing bracket; true for the latter."""
        self.skip_whitespace()
        found = self.peek()
        if found not in (",", bracket):
            self.refuse(f"a comma or {bracket} must stand here, not {self.here()}")
        self.offset += 1
        return found == bracket

    def string(self) -> str:
        """The string with its escapes resolved, which is what makes two keys the same."""
        start = self.offset
        self.offset += 1
        end = self.text.find('"', self.offset)
        plain = self.text[self.offset : end]
        if end >= 0 and plain.isprintable() and "\\" not in plain:  # nearly all of a large file
            self.offset = end + 1
            return plain
        letters: list[str] = []
        while self.peek() != '"':
            letter = self.peek()
            if not letter:
                self.refuse("this string has no end", start)
            if letter < " ":
                self.refuse(f"control character {letter!a} in a string: it must be escaped")
            letters.append(self.escape() if letter == "\\" else letter)
            self.offset += 1
        self.offset += 1
        return _joined("".join(letters))

    def escape(self) -> str:
        """Ends on the last character of the escape."""
        start = self.offset
        self.offset += 1
        kind = self.peek()
        if kind == "u":
            digits = self.text[self.offset + 1 : self.offset + 5]
            if len(digits) < 4 or any(digit not in _HEX for digit in digits):
                self.refuse("\\u must be followed by four hexadecimal digits", start)
            self.offset += 4
            return chr(int(digits, 16))
        if not kind or kind not in _ESCAPES:
            self.refuse(f"unknown escape \\{kind}", start)
        return {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}.get(kind, kind)

    def number(self) -> None:
        start = self.offset
        if self.peek() == "-":
            self.offset += 1
        whole = self.digits()
        is_float = False
        if len(whole) > 1 and whole[0] == "0":
            self.refuse("a number must not start with 0", start)
        if self.peek() == ".":
            self.offset += 1
            self.digits()
            is_float = True
        if self.peek() in ("e", "E"):
            self.offset += 1
            if self.peek() in ("+", "-"):
                self.offset += 1
            self.digits()
            is_float = True
        if is_float:
            if float(self.text[start : self.offset]) in (float("inf"), float("-inf")):
                self.refuse("this number is too large", start)
        elif len(whole) > _MAX_DIGITS:
            self.refuse("this number has too many digits", start)

    def digits(self) -> str:
        start = self.offset
        while self.peek() and self.peek() in _DIGITS:
            self.offset += 1
        if start == self.offset:
            self.refuse(f"a digit must stand here, not {self.here()}")
        return self.text[start : self.offset]

    def literal(self) -> None:
        for word in _LITERALS:
            if self.text.startswith(word, self.offset):
                self.offset += len(word)
                return
        if not self.peek():
            self.refuse("the document ends here" if self.offset else "is empty")
        self.refuse(f"a value must stand here, not {self.here()}")


def _joined(text: str) -> str:
    """Two escapes that are one surrogate pair are one character, as the scanner reads them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
