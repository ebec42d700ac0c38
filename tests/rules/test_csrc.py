"""House rules for C: nothing in it allocates, logs, reads the environment, decides or ends the process."""

from __future__ import annotations

import re
import subprocess
import sys

from rules.source import TOP, modules

CSRC = TOP / "csrc"
FORBIDDEN = re.compile(
    r"\b(malloc|calloc|realloc|free|alloca|printf|fprintf|snprintf|sprintf|puts|getenv|setenv|exit|abort|system|popen"
    r"|strcpy|strcat|perror)\s*\("
)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
DECLARATION = re.compile(
    r"^(?P<comment>/\*(?:[^*]|\*(?!/))*\*/\n)?(?:u?int\d*_t|int|void) (?P<name>\w+)\(", re.MULTILINE
)


def forbidden_calls(text: str) -> list[str]:
    return FORBIDDEN.findall(COMMENT.sub("", text))


def helper_functions() -> dict[str, str]:
    """Each function that helper.h declares -> the comment right above it, or ""."""
    text = (CSRC / "helper.h").read_text().split("/* [cffi */")[1].split("/* cffi] */")[0]
    return {match["name"]: match["comment"] or "" for match in DECLARATION.finditer(text)}


def test_no_forbidden_call() -> None:
    sources = sorted(CSRC.glob("*.[ch]"))
    assert len(sources) >= 4
    assert {path.name: calls for path in sources if (calls := forbidden_calls(path.read_text()))} == {}


def test_every_helper_function_says_what_it_does() -> None:
    functions = helper_functions()
    assert len(functions) > 10
    assert [name for name, comment in functions.items() if len(comment) < 20] == []


def test_every_helper_function_is_used() -> None:
    used = "".join(m.path.read_text() for m in modules() if m.name.startswith("pyrunc.kernel"))
    used += "".join(m.path.read_text() for m in modules() if m.name.startswith("pyrunc.process"))
    assert [name for name in helper_functions() if name not in used] == []


def test_generated_files_are_what_the_headers_say() -> None:
    command = [sys.executable, str(CSRC / "generate.py"), "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_rule_sees_a_forbidden_call() -> None:
    assert forbidden_calls("char *p = malloc(3);") == ["malloc"]
    assert forbidden_calls("/* malloc(3) */ // exit(1)\n_exit(1);") == []
