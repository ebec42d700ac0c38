"""`python3 -I -S -m pyrunc`; build/pyrunc does the same with its own name in argv[0]."""

from __future__ import annotations

import sys
from posix import _exit

from pyrunc.cli.main import main

# Without finalisation: nothing is buffered, and it would cost a millisecond.
_exit(main(sys.argv))
