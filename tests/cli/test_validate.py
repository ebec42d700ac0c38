"""`validate` as it is called: by a script of a CI, with a bundle, a file or a pipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Result, Runtime

pytestmark = pytest.mark.pyrunc_only("runc has no such command")


def validate(runtime: Runtime, bundle: Bundle, *words: str) -> Result:
    bundle.save()
    return runtime("validate", "--bundle", bundle.path, *words)


def test_a_bundle_that_would_run(runtime: Runtime, bundle: Bundle) -> None:
    result = validate(runtime, bundle).ok()
    assert (result.out, result.err) == (f"{bundle.path}/config.json: valid, and would run here\n", "")
    runtime.run(bundle).ok()  # and it does


def test_everything_at_once(runtime: Runtime, bundle: Bundle) -> None:
    """Problem, place, section, and what was meant; 1."""
    bundle.process["cwd"] = "x"
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILES", "soft": 1, "hard": 1}]
    bundle.linux["namespaces"].append({"type": "uts"})
    bundle.mounts.append({"destination": 7})
    result = validate(runtime, bundle)
    assert result.status == 1
    text = result.out
    assert 'process.cwd: must be an absolute path, not "x" (config.md#process)' in text
    assert "process.rlimits[0].type: must be one of" in text
    assert "(did you mean RLIMIT_NOFILE?) (config.md#posix-process)" in text
    assert "mounts[5].destination: must be a string, not 7 (config.md#mounts)" in text
    assert "linux.namespaces[5].type: uts is given twice (config-linux.md#namespaces)" in text  # takes two keys
    assert len(result.lines) == 4


def test_what_this_machine_lacks(runtime: Runtime, bundle: Bundle) -> None:
    """2, and create says the same, one after the other."""
    bundle.process["apparmorProfile"] = "docker-default"
    bundle.linux["intelRdt"] = {}
    bundle.args("no-such-program")
    result = validate(runtime, bundle)
    assert result.status == 2
    apparmor = [] if Path("/sys/kernel/security/apparmor").exists() else ["process.apparmorProfile"]
    expected = ["process.args[0]", *apparmor, "linux.intelRdt"]
    assert [line.partition("not here: ")[2].partition(":")[0] for line in result.lines] == expected
    assert validate(runtime, bundle, "--no-host").ok().out.endswith("config.json: valid\n")
    assert runtime.run(bundle).status == 1


def test_as_a_filter(runtime: Runtime, bundle: Bundle) -> None:
    result = runtime("validate", "--no-host", "-", input=json.dumps(bundle.config).encode())
    assert result.ok().out == "stdin: valid\n"
    result = runtime("validate", "--format", "json", "-", input=b'{"ociVersion": 1}')
    assert result.status == 1
    report: dict[str, Any] = json.loads(result.out)
    assert (report["file"], report["valid"], report["wouldRunHere"]) == ("stdin", False, None)
    assert {
        "place": "ociVersion",
        "problem": "must be a string, not 1",
        "section": "config.md#specification-version",
    } in (report["problems"])


@pytest.mark.parametrize("flag", [("--format", "yaml"), ("-f", "")])
def test_an_unknown_format(runtime: Runtime, bundle: Bundle, flag: tuple[str, str]) -> None:
    validate(runtime, bundle, *flag).failed("invalid format option")


def test_slips_of_the_pen_are_warnings(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hostnam"] = "x"
    bundle.mounts[1]["options"].append("nosiud")
    out = validate(runtime, bundle, "--no-host").ok().out
    assert "warning: hostnam: unknown key, ignoring (did you mean hostname?)" in out
    assert 'warning: mounts[1].options[4]: "nosiud" goes to the file system as it is (did you mean nosuid?)' in out
