"""Replays of advisories drive the runtime as tests/cli does."""

from __future__ import annotations

from cli.conftest import _root_is_needed, bundle, rootfs_template, runtime

__all__ = ["_root_is_needed", "bundle", "rootfs_template", "runtime"]
