"""How the cores of a machine are divided among jobs that run at once."""

import os


def threads_per_job(jobs: int) -> int:
    """CPU threads for each of `jobs` at once; -1: one job a core.

    >>> threads_per_job(-1)
    1
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // jobs) if jobs > 0 else 1
