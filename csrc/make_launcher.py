"""Write the launcher: an executable script whose first line fixes the interpreter and its flags.

usage: make_launcher.py OUT DIRECTORY...       the directories hold the packages, the helper and site-packages
       make_launcher.py OUT --installed-by-pip  they are found beside the script's own place

-I  no environment, no current directory, no user's site-packages: runtimes are started in directories that others
    fill, and a json.py in a bundle must stay a file
-S  no site module: .pth files would be executed, and searching for them takes longer than everything else
-B  nothing is ever written beside the sources
-X utf8  arguments and paths are UTF-8 with surrogateescape in every locale, as the program builder encodes them

A script with fixed flags starts 0.5 ms sooner than a C program that executes the interpreter (docs/adr/0002).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

FLAGS = "-ISBXutf8"

# CPython 3.11 takes its standard library from where these two say, in spite of -I (Modules/getpath.c).  env: 0.8 ms.
HEAD = """#!/usr/bin/env -S -u PYTHONEXECUTABLE -u __PYVENV_LAUNCHER__ {interpreter} {flags}
import posix
import sys

sys.pyrunc_launcher = "script"
"""

FIXED = """sys.path[:0] = {directories!r}
sys.path.append({packages!r})
"""

# /proc/self/fd has the kernel's own idea of where this file is, whatever links led here.
BESIDE = """own = posix.open(__file__, posix.O_RDONLY | posix.O_CLOEXEC)
prefix = posix.readlink(f"/proc/self/fd/{own}").rpartition("/bin/")[0]
posix.close(own)
packages = f"{prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}"
helper = "_pyrunc_helper.abi3.so"
if posix.access(f"{packages}/site-packages/{helper}", posix.R_OK):
    sys.path.append(f"{packages}/site-packages")
else:
    sys.path.append(f"{packages}/dist-packages")
"""

MAIN = """
from pyrunc.cli.main import main  # noqa: E402 - sys.path comes first

code = main(sys.argv)
if sys.stdout is not None:
    sys.stdout.flush()
posix._exit(code)  # nothing is left to do, and taking the interpreter down would take a millisecond
"""


def launcher(interpreter: str, directories: list[str]) -> str:
    """The text of the launcher; `directories` absolute, or empty for the one that looks beside itself."""
    head = HEAD.format(interpreter=interpreter, flags=FLAGS)
    if not directories:
        return head + BESIDE + MAIN
    return head + FIXED.format(directories=directories, packages=f"{directories[0]}/site-packages") + MAIN


def main() -> None:
    out = Path(sys.argv[1])
    directories = [] if sys.argv[2:] == ["--installed-by-pip"] else sys.argv[2:]
    # of a virtual environment the interpreter that it was made from: -S is all the isolation needed
    interpreter = os.path.realpath(sys.executable)
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(out.name + ".new")
    new.write_text(launcher(interpreter, directories))
    new.chmod(0o755)
    new.replace(out)


if __name__ == "__main__":
    main()
