"""How much memory a process holds."""

import psutil


def own_memory(process: psutil.Process) -> int:
    """Return the bytes of memory that a process holds alone: arrays that are mapped from files do not count."""
    try:
        info = process.memory_info()
    except psutil.Error:  # it is gone, which its connection tells
        return 0
    return int(info.rss - getattr(info, "shared", 0))
