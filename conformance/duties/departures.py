"""Where pyrunc fails a duty on purpose or for now: test -> why.  The report shows these rows as failed."""

from __future__ import annotations

REASONS: dict[str, str] = {
    "test_lifecycle.py::test_delete_of_a_created_container_fails": "engines need runc's way (docs/compat.md)",
    "test_process.py::test_umask_is_inherited": "022, as runc and crun have it: images expect that (docs/compat.md)",
}
