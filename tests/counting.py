"""Work, counted: what a test may say of speed, for no other process changes it."""

import sys


def calls_while(function):
    """Count the calls of functions, Python's and C's: work that no other process changes."""
    count = 0

    def note(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        result = function()
    finally:
        sys.setprofile(before)
    return count, result
