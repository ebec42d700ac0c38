"""`spec`: write a config.json to start from."""

from __future__ import annotations

import posix
from errno import EEXIST

from ocispec.defaults import default_config
from pyrunc import jsonio, log
from pyrunc.errors import KernelError, StateError, during

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.cli.parse import Arguments

NAME = "config.json"


def run(arguments: Arguments) -> int:
    document = default_config(rootless=arguments.rootless_spec, uid=posix.geteuid(), gid=posix.getegid())
    content = log.encode(jsonio.dumps(document, indent="\t") + "\n")
    path = f"{arguments.bundle}/{NAME}" if arguments.bundle else NAME
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    try:
        with during(f"create {path}"):
            file = posix.open(path, flags, 0o666)
    except KernelError as error:
        if error.errno == EEXIST:
            raise StateError(f"File {NAME} exists. Remove it first") from error  # runc's words
        raise
    with during(f"write {path}"):
        log.write_all(file, content)
        posix.close(file)
    return 0
