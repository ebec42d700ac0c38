"""`events ID`: a line of JSON now and then; `--stats`: one line, now."""

from __future__ import annotations

from pyrunc import jsonio, log
from pyrunc.container.amounts import parse_duration
from pyrunc.container.events import follow, load_running, stats_event
from pyrunc.container.store import Store
from pyrunc.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyrunc.cli.parse import Arguments


def run(arguments: Arguments) -> int:
    interval = parse_duration("interval", arguments.interval)
    if interval <= 0:
        raise UsageError("duration interval must be greater than 0")
    record = load_running(Store(arguments.root), arguments.container_id)
    if arguments.stats:
        say(stats_event(record))
    else:
        follow(record, interval, say)
    return 0


def say(event: dict[str, Any]) -> None:
    log.say(jsonio.dumps(event) + "\n")
