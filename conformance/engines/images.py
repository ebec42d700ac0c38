"""An image made here: busybox-static, two users, one layer.  No registry is asked for anything."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")  # Debian: busybox-static
DIRECTORIES = ("bin", "dev", "etc", "home/app", "proc", "root", "sys", "tmp", "var")
FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    "etc/group": "root:x:0:\napp:x:1000:\nextra:x:2000:app\n",
}
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
IMAGE_TYPE = "application/vnd.oci.image"


def root_archive() -> bytes:
    """The root filesystem as a tar archive: what `docker import` and `podman import` take."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in DIRECTORIES:
            add(archive, name, kind=tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755)
        add(archive, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            if applet != "busybox":
                add(archive, f"bin/{applet}", kind=tarfile.SYMTYPE, target="busybox")
        for name, text in FILES.items():
            add(archive, name, text.encode())
    return content.getvalue()


def add(
    archive: tarfile.TarFile,
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    target: str = "",
) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mode, member.linkname = kind, len(content), mode, target
    archive.addfile(member, io.BytesIO(content))


class Blobs:
    """Content by digest, as image-layout.md wants it."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def put(self, kind: str, content: bytes) -> dict[str, object]:
        """The descriptor of the content."""
        digest = hashlib.sha256(content).hexdigest()
        self.content[digest] = content
        return {"mediaType": f"{IMAGE_TYPE}.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    def put_json(self, kind: str, document: dict[str, object]) -> dict[str, object]:
        return self.put(kind, json.dumps(document).encode())


def image_archive(root: bytes, name: str, command: tuple[str, ...]) -> bytes:
    """An OCI layout of one image in a tar archive: what `ctr image import` takes.  `name` is the whole reference."""
    blobs = Blobs()
    layer = blobs.put("layer.v1.tar+gzip", gzip.compress(root, 1, mtime=0))
    config = blobs.put_json(
        "config.v1+json",
        {
            "architecture": ARCHITECTURE,
            "os": "linux",
            "config": {"Env": [PATH], "Cmd": list(command), "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(root).hexdigest()}"]},
        },
    )
    manifest = blobs.put_json("manifest.v1+json", {"schemaVersion": 2, "config": config, "layers": [layer]})
    manifest["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [manifest]}
    archived = io.BytesIO()
    with tarfile.open(fileobj=archived, mode="w") as archive:
        add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        add(archive, "index.json", json.dumps(index).encode())
        for digest, content in blobs.content.items():
            add(archive, f"blobs/sha256/{digest}", content)
    return archived.getvalue()
