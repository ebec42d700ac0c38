"""A bundle: config.json and the directory that `root.path` names (bundle.md)."""

from __future__ import annotations

import posix
from errno import ENOENT, ENOTDIR

from ocispec.config import Config, read_config
from ocispec.record import Record
from pyrunc import log
from pyrunc.errors import ConfigError, during
from pyrunc.jsonio import loads
from pyrunc.kernel.constants import O_NONBLOCK, O_RDONLY
from pyrunc.kernel.files import is_regular, open_directory, open_file, read_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONFIG_FILE = "config.json"
_MAX_CONFIG = 16 << 20


class Bundle(Record):
    path: str  # absolute
    config: Config
    document: dict[str, Any]  # config.json as it was read
    rootfs: str  # absolute, without symlinks: what the config named when it was read


def load_bundle(path: str) -> Bundle:
    """Read and check a bundle; from here on it is the working directory, as in runc."""
    with during(f"enter the bundle {path}"):
        posix.chdir(path)
        absolute = posix.getcwd()
    config, document = load_config()
    return Bundle(path=absolute, config=config, document=document, rootfs=_resolve_rootfs(config.root.path))


def load_config() -> tuple[Config, dict[str, Any]]:
    """config.json of the working directory, checked, and as it was.  Raises ConfigError and SpecError."""
    warnings: list[str] = []
    with during(CONFIG_FILE):
        document = loads(_read_config())
        if not isinstance(document, dict):
            raise ConfigError("must hold an object")
        annotations = document.get("annotations")
        if type(annotations) is dict and any(name.startswith("run.oci.") for name in annotations):
            from pyrunc.container.annotations import apply_annotations  # crun's, for who knows them

            document = apply_annotations(document, warnings)
        config = read_config(document, warnings)
    for warning in warnings:
        log.debug(f"{CONFIG_FILE}: {warning}")
    return config, document


def _read_config() -> bytes:
    """A FIFO would make us wait for its writer, a device never end: only a regular file is read."""
    try:
        with open_file(CONFIG_FILE, O_RDONLY | O_NONBLOCK) as file:
            if not is_regular(file.number):
                raise ConfigError("is not a regular file")
            return read_descriptor(file.number, limit=_MAX_CONFIG)
    except OSError as error:
        if error.errno == ENOENT:
            raise _NoConfig(f"JSON specification file {CONFIG_FILE} not found") from error
        raise


class _NoConfig(ConfigError):
    """Not wrapped in `during` words: runc's whole sentence."""

    def __str__(self) -> str:
        return self.text


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
