"""How much memory this process may have."""

import math
import os

__all__ = ["allowed_gb", "present_gb"]


def allowed_gb() -> float:
    """Address space that ``ulimit -v`` leaves to this process, in GB; infinite where nothing is set."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit
    except ImportError:  # Windows
        return math.inf
    limit = getrlimit(RLIMIT_AS)[0]
    return math.inf if limit == RLIM_INFINITY else limit / 2**30


def present_gb() -> float:
    """Memory of this machine, or what the process may have of it, in GB; infinite where nobody knows."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        machine = math.inf
    return min(machine, allowed_gb())
