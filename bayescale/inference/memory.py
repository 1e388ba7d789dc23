"""How much memory this process may have."""

import math
import os

__all__ = ["FOR_JAX_GB", "allowed_gb", "present_gb"]

FOR_JAX_GB = 3.5
"""Address space that JAX needs to compile; with less, LLVM ends the whole process."""


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
