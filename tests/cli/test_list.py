"""list: a table, JSON, or ids."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.runtime import PATH, Runtime

if TYPE_CHECKING:
    from cli.bundle import Bundle

EMPTY_TABLE = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"


def test_empty(runtime: Runtime) -> None:
    runtime.state_root.mkdir()
    assert runtime("list").ok().out == EMPTY_TABLE
    assert runtime("list", "--format", "json").ok().out.strip() == "null"
    assert runtime("list", "--quiet").ok().out == ""


@pytest.mark.pyrunc_only("runc 1.1 prints an empty list; later ones fail")
def test_state_root_that_was_asked_for_must_exist(runtime: Runtime) -> None:
    runtime("list").failed(f"{runtime.state_root}")
    assert not runtime.state_root.exists()


def test_no_default_state_root(runtime: Runtime) -> None:
    """Without --root; in a mount namespace with an empty /run there is none."""
    script = f"mount -t tmpfs none /run && {PATH} list -q"
    result = runtime.raw(["unshare", "--mount", "sh", "-c", script], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).ok()
    assert (result.out, result.err) == ("", "")


def test_table(runtime: Runtime, bundle: Bundle) -> None:
    first, second = runtime.create(bundle), runtime.create(bundle)
    lines = runtime("list").ok().lines
    assert lines[0].split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    rows = [line.split() for line in lines[1:]]
    states = [runtime.state(container_id) for container_id in sorted((first, second))]
    assert rows == [
        [state["id"], str(state["pid"]), "created", str(bundle.path), state["created"], "root"] for state in states
    ]
    for name in ("PID", "STATUS", "BUNDLE", "CREATED", "OWNER"):
        column = lines[0].index(name)
        assert all(line[column - 3 : column] == "   " and line[column] != " " for line in lines)


def test_json(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    out = runtime("list", "-f", "json").ok().out
    assert out.count("\n") <= 1
    assert json.loads(out) == [runtime.state(container_id) | {"owner": "root"}]
    assert list(json.loads(out)[0]) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]


def test_quiet(runtime: Runtime, bundle: Bundle) -> None:
    ids = sorted(runtime.create(bundle) for _ in range(3))
    assert runtime("list", "-q").ok().lines == ids


def test_stopped(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.run_detached(bundle)
    runtime.wait_for(container_id, "stopped")
    assert runtime("list").ok().lines[1].split()[1:3] == ["0", "stopped"]


def test_format_that_is_none(runtime: Runtime) -> None:
    runtime.state_root.mkdir()
    runtime("list", "--format", "xml").failed("invalid format option")


def test_broken_state_files_are_named_and_left_out(runtime: Runtime, bundle: Bundle) -> None:
    container_id = runtime.create(bundle)
    (runtime.state_root / "broken").mkdir()
    (runtime.state_root / "broken/state.json").write_text("{")
    (runtime.state_root / "empty").mkdir()
    result = runtime("list", "-q").ok()
    json_result = runtime("list", "-f", "json").ok()
    assert container_id in result.lines
    assert [row["id"] for row in json.loads(json_result.out)] == [container_id]
    assert "broken" in json_result.err
    assert "empty" in json_result.err


def test_a_reader_that_goes_away(runtime: Runtime, bundle: Bundle) -> None:
    runtime.create(bundle)
    command = f"{PATH} --root {runtime.state_root} list | true"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in result.stderr
