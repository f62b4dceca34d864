"""How much memory a process holds."""

import psutil


def own_memory(process: psutil.Process) -> int:
    """Return the private memory of a process in bytes: arrays mapped from files do not count."""
    try:
        info = process.memory_info()
    except psutil.Error:  # it has exited, which its connection will report
        return 0
    return int(info.rss - getattr(info, "shared", 0))
