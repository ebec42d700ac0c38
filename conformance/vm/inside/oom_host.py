"""events when the host itself runs out of memory: nobody's limit was met.  Only a guest's memory is used up."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from cli.runtime import PATH, wait_until

if TYPE_CHECKING:
    from cli.bundle import Bundle
    from cli.runtime import Runtime

KEPT_FREE = Path("/proc/sys/vm/min_free_kbytes")  # what is kept back is used up at once
SCORE = Path("/proc/self/oom_score_adj")


def available() -> int:
    """KiB."""
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1])


def test_it_was_the_host_s_memory(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    SCORE.write_text("-1000")  # nothing but the container is to die of it
    bundle.process["oomScoreAdj"] = 1000
    bundle.shell("while [ ! -e /go ]; do sleep 0.02; done; exec tail /dev/zero")
    container_id = runtime.run_detached(bundle)
    told = tmp_path / "events"
    words = [PATH, "--root", str(runtime.state_root), "events", "--interval", "100ms", container_id]
    with told.open("wb") as out:
        watching = subprocess.Popen(words, stdout=out)
    kept_free = KEPT_FREE.read_text()
    try:
        wait_until(lambda: told.read_text())
        KEPT_FREE.write_text(str(available() * 2 // 3))
        (bundle.rootfs / "go").touch()
        assert watching.wait(60) == 0
    finally:
        KEPT_FREE.write_text(kept_free)
        SCORE.write_text("0")
        watching.kill()
        watching.wait()
    events = [json.loads(line) for line in told.read_text().splitlines()]
    assert [event for event in events if event["type"] == "oom"] == [
        {"type": "oom", "id": container_id, "cause": "host"}
    ]
