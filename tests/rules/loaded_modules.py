"""Run a command exactly as the launcher does and write down which modules it loaded.

usage: python3 -ISBXutf8 loaded_modules.py OUT DIRECTORY... -- ARGUMENT...
"""

import sys

out = sys.argv[1]
middle = sys.argv.index("--")
sys.path[:0] = sys.argv[2:middle]
started_with = frozenset(sys.modules)

from pyrunc.cli.main import main  # noqa: E402 - sys.path comes first

code = main(["pyrunc", *sys.argv[middle + 1 :]])
loaded = sorted(frozenset(sys.modules) - started_with)
with open(out, "w", encoding="ascii") as file:
    file.write("\n".join(loaded) + "\n")
sys.exit(code)
