"""A runtime that breaks one duty: mutant.py NAME REAL-RUNTIME ARGUMENTS...

The tables in of_config.py, of_output.py and of_commands.py say how.  `nothing` breaks nothing.
"""

from __future__ import annotations

import sys

from call import Call


def main() -> int:
    name, call = sys.argv[1], Call(sys.argv[2], sys.argv[3:])
    from of_commands import COMMANDS

    if name in COMMANDS:
        return COMMANDS[name].act(call) if call.command in COMMANDS[name].commands else call.go()
    if call.command == "create":
        return create(name, call)
    return say(name, call) if call.command in ("state", "features") else call.go()


def create(name: str, call: Call) -> int:
    """With another config.json."""
    from of_config import EDITS

    try:
        config = call.read_config()
    except (OSError, ValueError):
        return call.go()
    if name not in EDITS:
        return call.go()
    EDITS[name](config)
    return call.go_with(config)


def say(name: str, call: Call) -> int:
    """Another document than the real one."""
    import json

    from of_output import FEATURES, STATES

    edits = {"state": STATES, "features": FEATURES}[call.command]
    status, out, err = call.quiet()
    sys.stderr.write(err)
    if status == 0 and name in edits:
        document = json.loads(out)
        edits[name](document)
        out = json.dumps(document)
    sys.stdout.write(out)
    return status


if __name__ == "__main__":
    sys.exit(main())
