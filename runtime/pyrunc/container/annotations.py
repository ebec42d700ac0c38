"""crun's annotations (crun(1), "OCI annotations"): which mean something here, and what is said of the others.

Each is applied where its subject is; this is the list.  All of them, and runc's, are told as potentially unsafe by
`features`: who lets strangers write annotations lets them write what these do.
"""

from __future__ import annotations

from ocispec.reader import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RECEIVER = "run.oci.seccomp.receiver"
PREFIX = "run.oci."
# name -> what it does, and where
APPLIED = {
    "run.oci.keep_original_groups": "1: the supplementary groups stay (process/credentials.py)",
    "run.oci.hooks.stdout": "a file that hooks' output is appended to (process/hooks.py)",
    "run.oci.hooks.stderr": "the same for their errors",
    "run.oci.pidfd_receiver": "a socket that gets the pidfd, as --pidfd-socket (container/create.py)",
    RECEIVER: "the listenerPath of a profile that has none (here)",
    "run.oci.seccomp_bpf_data": "a filter in the place of the compiled one (security/seccomp_annotations.py)",
    "run.oci.seccomp_fail_unknown_syscall": "unknown names are errors (security/seccomp_annotations.py)",
}


def apply_annotations(document: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """config.json as decoded, nothing checked yet -> the same with what annotations say in the spec's own place."""
    annotations = document["annotations"]
    unknown = [name for name in annotations if name.startswith(PREFIX) and name not in APPLIED]
    warnings.extend([f"annotations[{shown(name)}]: has no meaning here, ignoring" for name in unknown])
    linux = document.get("linux")
    seccomp = linux.get("seccomp") if type(linux) is dict else None
    if RECEIVER not in annotations or type(linux) is not dict or type(seccomp) is not dict:
        return document
    if seccomp.get("listenerPath"):
        return document
    return document | {"linux": linux | {"seccomp": seccomp | {"listenerPath": annotations[RECEIVER]}}}
