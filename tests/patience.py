"""Waiting for what comes about by itself: looks until it holds."""

import time

PATIENCE = 60
BETWEEN_LOOKS = 0.02


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(BETWEEN_LOOKS)
    return found
