"""--pid-file: decimal, without a newline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.bundle import Bundle
    from cli.runtime import Runtime


def test_create(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    container_id = runtime.create(bundle, "--pid-file", tmp_path / "pid")
    assert (tmp_path / "pid").read_text() == str(runtime.state(container_id)["pid"])


def test_run(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.args("sleep", "100")
    runtime.run(bundle, "-d", "--pid-file", tmp_path / "pid").ok()
    assert (tmp_path / "pid").read_text() == str(runtime.state(runtime.ids[-1])["pid"])


def test_an_older_file_is_replaced(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("99999999999 an older one")
    container_id = runtime.create(bundle, "--pid-file", tmp_path / "pid")
    assert (tmp_path / "pid").read_text() == str(runtime.state(container_id)["pid"])
    assert [entry.name for entry in tmp_path.iterdir() if "pid" in entry.name] == ["pid"]


def test_relative_path_is_from_the_callers_directory(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    runtime.create(bundle, "--pid-file", "pid", cwd=tmp_path)
    found = [path for path in (tmp_path / "pid", bundle.path / "pid") if path.exists()]
    assert len(found) == 1


@pytest.mark.pyrunc_only("runc 1.1 says nothing")
def test_file_that_cannot_be_written(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.save()
    container_id = runtime.new_id()
    result = runtime("create", "-b", bundle.path, "--pid-file", tmp_path / "nope/pid", container_id)
    result.failed("no such file or directory")
    runtime("state", container_id).failed("container does not exist")
