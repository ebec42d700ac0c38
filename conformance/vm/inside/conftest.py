"""These tests run inside a guest (conformance/vm/run.py --select …), with the fixtures of tests/cli."""

from __future__ import annotations

from cli.conftest import bundle, rootfs_template, runtime

__all__ = ["bundle", "rootfs_template", "runtime"]
