"""Exceptions become one line each, in the shape engines know."""

from __future__ import annotations

from errno import EPERM

import pytest

from ocispec.reader import SpecError
from pyrunc.cli.failures import report
from pyrunc.cli.parse import parse_arguments
from pyrunc.errors import ConfigError, KernelError, during


def told(capfd: pytest.CaptureFixture[str], error: Exception, *words: str) -> str:
    report(parse_arguments(["pyrunc", *words], {}, 0), error)
    err = capfd.readouterr().err
    assert err.startswith("time=")
    assert err.count("\n") == 1
    return err.partition(" msg=")[2].strip().strip('"')


def test_prefix(capfd: pytest.CaptureFixture[str]) -> None:
    error = ConfigError("process property must not be empty")
    assert told(capfd, error, "create", "c") == "pyrunc create failed: process property must not be empty"
    assert told(capfd, error, "run", "c") == "pyrunc run failed: process property must not be empty"
    assert told(capfd, error, "start", "c") == "process property must not be empty"


def test_usage_errors_have_no_prefix(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = parse_arguments(["pyrunc", "create"], {}, 0)
    assert arguments.usage_error is not None
    report(arguments, arguments.usage_error)
    assert "failed" not in capfd.readouterr().err


def test_config(capfd: pytest.CaptureFixture[str]) -> None:
    error = SpecError("mounts[3].destination", "must be a string, not 7")
    assert told(capfd, error, "run", "c") == "pyrunc run failed: mounts[3].destination: must be a string, not 7"


def test_errno_and_hint(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KernelError) as caught, during("write oom_score_adj"):
        raise KernelError(EPERM)
    line = told(capfd, caught.value, "start", "c")
    assert line.startswith("write oom_score_adj: EPERM (operation not permitted) (hint: ")


def test_os_error(capfd: pytest.CaptureFixture[str]) -> None:
    error = FileNotFoundError(2, "No such file or directory", "/x")
    assert told(capfd, error, "state", "c") == "/x: no such file or directory"


def test_bug(capfd: pytest.CaptureFixture[str]) -> None:
    assert told(capfd, KeyError("x"), "state", "c") == "internal error: KeyError: 'x'"
