"""Whole rootfs programs whose calls fail at random."""

from pretended_rootfs import compiled, inputs, run_pretended


def test_under_trouble_nothing_is_used_after_it_was_closed() -> None:
    """Errnos at random: descriptors stay right on every way through the program."""
    p = compiled(inputs())
    ends = set()
    for seed in range(300):
        run, kernel = run_pretended(p, seed, 0.03)
        ends.add(run.ended)
        if run.ended == "end":
            assert set(kernel.open) <= {0, 1, 2} | {d for d, what in kernel.open.items() if what == "context"}
    assert ends == {"end", "failed"}
