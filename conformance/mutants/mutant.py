"""A runtime that breaks one duty: mutant.py NAME REAL-RUNTIME ARGUMENTS...

The tables in of_config.py, of_output.py and of_commands.py say how.  `nothing` breaks nothing.
"""

from __future__ import annotations

import json
import sys

from call import Call
from of_commands import COMMANDS
from of_config import EDITS
from of_output import FEATURES, STATES


def main() -> int:
    name, call = sys.argv[1], Call(sys.argv[2], sys.argv[3:])
    if name in COMMANDS and call.command in COMMANDS[name].commands:
        return COMMANDS[name].act(call)
    if name in EDITS and call.command == "create":
        try:
            config = call.read_config()
        except (OSError, ValueError):
            return call.go()
        EDITS[name](config)
        return call.go_with(config)
    edits = {"state": STATES, "features": FEATURES}.get(call.command, {})
    if name in edits:
        status, out, err = call.quiet()
        sys.stderr.write(err)
        if status == 0:
            document = json.loads(out)
            edits[name](document)
            out = json.dumps(document)
        sys.stdout.write(out)
        return status
    return call.go()


def known() -> set[str]:
    return {"nothing", *COMMANDS, *EDITS, *STATES, *FEATURES}


if __name__ == "__main__":
    sys.exit(main())
