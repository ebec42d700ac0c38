"""A session keyring of the container's own: session-keyring(7).

Without it the container's processes would possess the keys of whoever called pyrunc.
"""

from __future__ import annotations

from errno import ENOSYS

from pyrunc.kernel.constants import KEYCTL_JOIN_SESSION_KEYRING, KEYCTL_SETPERM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyrunc.program.builder import Program

# keyctl_setperm(3).  The kernel makes a session keyring with everything for its possessor, and view, read and link for
# its owner (join_session_keyring in security/keys/process_keys.c); search for its owner lets `exec` join it by name.
_POSSESSOR_ALL = 0x3F000000
_OWNER_VIEW = 0x00010000
_OWNER_READ = 0x00020000
_OWNER_SEARCH = 0x00080000
_OWNER_LINK = 0x00100000
_PERMISSIONS = _POSSESSOR_ALL | _OWNER_VIEW | _OWNER_READ | _OWNER_SEARCH | _OWNER_LINK


def emit_session_keyring(p: Program, container_id: str) -> None:
    """Join `_ses.ID`, making it if need be.  A kernel without keyrings has none to protect: ENOSYS is no failure."""
    done = p.target()
    name = f"_ses.{container_id}"
    keyring = p.register()
    p.call(
        "keyctl",
        KEYCTL_JOIN_SESSION_KEYRING,
        name,
        doing=f"join the session keyring {name}",
        into=keyring,
        tolerate=[ENOSYS],
        otherwise=done,
    )
    # The kernel says 0 instead of a serial number to who is in a keyring of that name already (join_session_keyring).
    p.jump_if(keyring, 0, done)
    p.call("keyctl", KEYCTL_SETPERM, keyring, _PERMISSIONS, doing=f"set the permissions of the keyring {name}")
    p.here(done)
    p.release(keyring)
