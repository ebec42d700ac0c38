"""jsonio against the json module, and everything it refuses that json takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyrunc.json_faults import find_fault
from pyrunc.jsonio import MAX_DEPTH, MAX_SIZE, JsonError, dumps, loads

TOP = Path(__file__).resolve().parents[2]

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=25
)


@given(DOCUMENTS)
def test_reads_what_json_reads(document: Any) -> None:
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=3)):
        assert loads(text.encode()) == json.loads(text)


@given(DOCUMENTS)
def test_writes_what_json_writes(document: Any) -> None:
    compact = dumps(document)
    assert compact == json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    assert dumps(document, indent=2) == json.dumps(document, ensure_ascii=False, indent=2)
    assert dumps(document, indent="\t") == json.dumps(document, ensure_ascii=False, indent="\t")
    assert loads(compact.encode()) == document


def json_accepts(content: bytes) -> bool:
    """Python's own module, told to refuse what we refuse besides syntax."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) != len(items):
            raise ValueError("twice")
        return dict(items)

    def constant(name: str) -> Any:
        raise ValueError(name)

    def finite(digits: str) -> float:
        if float(digits) in (float("inf"), float("-inf")):
            raise ValueError(digits)
        return float(digits)

    try:
        text = content.decode()
        json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=finite)
    except ValueError:  # JSONDecodeError, UnicodeDecodeError
        return False
    return not text.startswith("\ufeff")


def complaint(content: bytes) -> str:
    try:
        loads(content)
    except JsonError as error:
        return str(error)
    return ""


def check_against_json(content: bytes) -> None:
    """Accepted by both or by neither; and the second, slow reading finds the fault too."""
    text = complaint(content)
    assert (text == "") == json_accepts(content)
    assert "is not JSON" not in text
    assert text == "" or text.startswith("line ")


@settings(max_examples=1000)
@given(st.text(alphabet='{}[]:,"\\ua1.0-+eE truefalsnN\n\t\0', max_size=14))
@example('{"a":1,"\\u0061":2}')
@example('"\\ud83d\\ude00"')
@example('{"\\ud83d\\ude00":1,"\U0001f600":2}')
@example("-0")
@example("1e999")
@example("-Infinity")
@example("[1.]")
@example('"\\')
@example('"\\u12')
@example("\ufeff1")
@example("")
def test_accepts_what_json_accepts_and_says_why_else(text: str) -> None:
    check_against_json(text.encode())


@settings(max_examples=300)
@given(DOCUMENTS, st.data())
def test_damaged_documents(document: Any, data: st.DataObject) -> None:
    content = bytearray(dumps(document).encode())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] = data.draw(st.integers(0, 255))
    check_against_json(bytes(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1: is empty"),
        (b' {"a": 1,\n  "b": 2,\n  "a": 3}', "line 3, column 3: key 'a' is given twice"),
        (b"[\n1,\nNaN]", "line 3, column 1: NaN and infinities are not JSON"),
        (b"[Infinity]", "line 1, column 2: NaN and infinities are not JSON"),
        (b"-Infinity", "line 1, column 1: NaN and infinities are not JSON"),
        (b"[1e400]", "line 1, column 2: this number is too large"),
        (b"[-1e400]", "line 1, column 2: this number is too large"),
        (b"[" + b"1" * 4301 + b"]", "line 1, column 2: this number has too many digits"),
        (b"{} {}", "line 1, column 4: text after the end of the document: '{'"),
        (b"{}\0", "line 1, column 3: text after the end of the document: '\\x00'"),
        (b"\xef\xbb\xbf{}", "line 1, column 1: starts with a byte order mark"),
        (b'{"a":\n "\xc3\x28"}', "line 2, column 3: byte 0xc3 is not UTF-8"),
        (b'["\xed\xa0\x80"]', "line 1, column 3: byte 0xed is not UTF-8"),  # a surrogate in UTF-8
        (b'["a\tb"]', "line 1, column 4: control character '\\t' in a string: it must be escaped"),
        (b'["abc', "line 1, column 2: this string has no end"),
        (b'["\\q"]', "line 1, column 3: unknown escape \\q"),
        (b'["\\u00g0"]', "line 1, column 3: \\u must be followed by four hexadecimal digits"),
        (b"[1,]", "line 1, column 4: a value must stand here, not ']'"),
        (b'{"a":1,}', "line 1, column 8: a key in double quotes must stand here, not '}'"),
        (b"{a:1}", "line 1, column 2: a key in double quotes must stand here, not 'a'"),
        (b'{"a" 1}', "line 1, column 6: a colon must stand here, not '1'"),
        (b"[1 2]", "line 1, column 4: a comma or ] must stand here, not '2'"),
        (b"[1", "line 1, column 3: a comma or ] must stand here, not the end of the file"),
        (b"[01]", "line 1, column 2: a number must not start with 0"),
        (b"[.5]", "line 1, column 2: a value must stand here, not '.'"),
        (b"[5.]", "line 1, column 4: a digit must stand here, not ']'"),
        (b"[+5]", "line 1, column 2: a value must stand here, not '+'"),
        (b"// x", "line 1, column 1: a value must stand here, not '/'"),
        (b"True", "line 1, column 1: a value must stand here, not 'T'"),
    ],
)
def test_errors(content: bytes, message: str) -> None:
    with pytest.raises(JsonError) as caught:
        loads(content)
    assert str(caught.value) == message


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"]":', b"}]")])
def test_depth(brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    levels = len(opening.translate(None, b'"a]:')) if b"{" in opening else 1
    fits = MAX_DEPTH // levels
    value = opening * fits + b"1" + closing * fits
    assert loads(value) == json.loads(value)
    for deeper in (fits + 1, 100_000):
        with pytest.raises(JsonError, match=r"^is nested more than 128 levels deep$"):
            loads(opening * deeper + b"1" + closing * deeper)
        with pytest.raises(JsonError, match=r"^is nested more than 128 levels deep$"):
            loads(opening * deeper)


def test_brackets_in_strings_are_no_depth() -> None:
    document = {"[" * 200: ['"' + "{" * 200, "\\", "[" * 200]}
    assert loads(json.dumps(document).encode()) == document
    assert loads(json.dumps([document] * 200).encode()) == [document] * 200


def test_size() -> None:
    assert loads(b'"' + b"x" * (MAX_SIZE - 2) + b'"') == "x" * (MAX_SIZE - 2)
    with pytest.raises(JsonError, match=r"^is larger than 16 MiB$"):
        loads(b'"' + b"x" * (MAX_SIZE - 1) + b'"')


def test_half_surrogate_pairs_survive() -> None:
    path = b"/bundle/\xff".decode("utf-8", "surrogateescape")
    text = dumps({"bundle": path, "\u00e9": 1})
    assert text == '{"bundle":"/bundle/\\udcff","\u00e9":1}'
    assert loads(text.encode()) == {"bundle": path, "\u00e9": 1}


def test_nothing_is_escaped_that_need_not_be() -> None:
    assert dumps('</\u00e9\u2028\x7f"\\\n\x01') == '"</\u00e9\u2028\x7f\\"\\\\\\n\\u0001"'


def test_empty_containers_take_one_line() -> None:
    assert dumps({"a": [], "b": {}, "c": ()}, indent=2) == '{\n  "a": [],\n  "b": {},\n  "c": []\n}'


@pytest.mark.parametrize("value", [{1, 2}, b"x", object()])
def test_what_is_not_json_is_a_bug(value: object) -> None:
    for indent in (0, 2):
        with pytest.raises(TypeError, match="no JSON for"):
            dumps([value], indent)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_nan_is_written(value: float) -> None:
    with pytest.raises(ValueError, match=r"."):
        dumps([value])


def test_a_right_text_has_no_fault() -> None:
    assert find_fault('{"a": [1, -2.5e3, "\\u0041\\n", true, null, {}], "b": []}') == (0, "is not JSON")


def test_errors_need_no_json_module() -> None:
    """The launcher has no json module to import, and loading it would take 11 ms."""
    code = """
import sys
sys.path[:0] = sys.argv[1:]
from pyrunc.jsonio import JsonError, loads, dumps
for content in (b'[1,', b'"\\x01"', b'{"a":1,"a":1}', b'[NaN]', b'nope', b'"\\\\u12"', b''):
    try:
        loads(content)
    except JsonError:
        continue
    raise SystemExit(content)
dumps(loads(b'{"a":[1,2]}'), 2)
print(*sorted({"json", "re", "json.decoder", "typing", "enum"} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(TOP / "runtime"), str(TOP / "spec"), str(TOP / "build/lib")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "\n", "")
