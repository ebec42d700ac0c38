"""A bundle: config.json and the directory that `root.path` names (bundle.md)."""

from __future__ import annotations

import posix
from errno import ENOENT, ENOTDIR

from ocispec.config import Config, read_config
from ocispec.record import Record
from pyrunc import log
from pyrunc.errors import ConfigError, during
from pyrunc.jsonio import loads
from pyrunc.kernel.files import open_directory, read_file

CONFIG_FILE = "config.json"
_MAX_CONFIG = 16 << 20


class Bundle(Record):
    path: str  # absolute
    config: Config
    rootfs: str  # absolute, without symlinks: what the config named when it was read


def load_bundle(path: str) -> Bundle:
    """Read and check a bundle; from here on it is the working directory, as in runc."""
    with during(f"enter the bundle {path}"):
        posix.chdir(path)
        absolute = posix.getcwd()
    config = load_config()
    return Bundle(path=absolute, config=config, rootfs=_resolve_rootfs(config.root.path))


def load_config() -> Config:
    """config.json of the working directory.  Raises ConfigError, or SpecError with the JSON path."""
    try:
        content = read_file(CONFIG_FILE, limit=_MAX_CONFIG)
    except OSError as error:
        if error.errno == ENOENT:
            raise ConfigError(f"JSON specification file {CONFIG_FILE} not found") from error
        raise
    warnings: list[str] = []
    with during(CONFIG_FILE):
        config = read_config(loads(content), warnings)
    for warning in warnings:
        log.debug(f"{CONFIG_FILE}: {warning}")
    return config


def _resolve_rootfs(path: str) -> str:
    """The rootfs directory by its real name: every later step means the same directory."""
    try:
        with open_directory(path) as rootfs:
            return posix.readlink(f"/proc/self/fd/{rootfs.number}")
    except OSError as error:
        if error.errno in (ENOENT, ENOTDIR):
            words = "does not exist" if error.errno == ENOENT else "is not a directory"
            raise ConfigError(f"root.path: rootfs {path} {words}") from error
        raise
