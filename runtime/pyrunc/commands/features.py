"""`features`: what this build can do on any machine, as JSON; containerd and docker ask for it when they start."""

from __future__ import annotations

from pyrunc import jsonio, log
from pyrunc.container.features import features_document


def run(_arguments: object) -> int:
    log.say(jsonio.dumps(features_document(), indent=4) + "\n")
    return 0
