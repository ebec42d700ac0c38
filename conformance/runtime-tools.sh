#!/bin/bash
# Build OCI runtime-tools if need be and hold a runtime against its validation programs.
# usage: runtime-tools.sh RUNTIME [--quick] [PROGRAM ...]
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$here/../build/runtime-tools
nice -n 19 "$here/build-runtime-tools.sh" "$work" >"$work.log" 2>&1 || { tail -n 20 "$work.log" >&2; exit 1; }
exec /usr/bin/python3 "$here/suite.py" "$work/tree" "$@"
