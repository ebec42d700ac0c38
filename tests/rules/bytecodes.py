"""Run a command as the script launcher does and count the bytecodes that pyrunc's own functions execute.

usage: python3 -ISBXutf8 bytecodes.py OUT DIRECTORY... -- ARGUMENT...

Every module is imported first, as in the image of the native launcher: what importing costs is no part of a command.
"""

import sys

out = sys.argv[1]
middle = sys.argv.index("--")
directories = sys.argv[2:middle]
sys.path[:0] = directories
OWN = tuple(f"{directory}/{package}/" for directory in directories for package in ("pyrunc", "ocispec"))
executed = 0


def import_all() -> None:
    """All but those whose import does something."""
    from pathlib import Path

    for directory in directories:
        for package in ("pyrunc", "ocispec"):
            for path in sorted(Path(directory, package).rglob("*.py")):
                name = ".".join(path.relative_to(directory).with_suffix("").parts).removesuffix(".__init__")
                if not name.endswith("__main__"):
                    __import__(name)


def on_call(frame, event, _argument):  # type: ignore[no-untyped-def]
    if not frame.f_code.co_filename.startswith(OWN):
        return None
    frame.f_trace_opcodes = True
    frame.f_trace_lines = False
    return on_opcode


def on_opcode(_frame, event, _argument):  # type: ignore[no-untyped-def]
    global executed
    if event == "opcode":
        executed += 1
    return on_opcode


import_all()

from pyrunc.cli.main import main  # noqa: E402 - sys.path comes first

sys.settrace(on_call)
code = main(["pyrunc", *sys.argv[middle + 1 :]])
sys.settrace(None)
with open(out, "w", encoding="ascii") as file:
    file.write(str(executed))
sys.exit(code)
