"""Formats numbers for people: counts, durations, sparklines."""

WIDTH = 40  # columns of a sparkline
BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int = WIDTH) -> str:
    """Return the last `width` values as blocks of different heights.

    >>> sparkline([0.1, 0.5, 0.9])
    '▁▅█'
    """
    shown = values[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[round((value - low) * scale)] for value in shown)


def counted(count: int, noun: str) -> str:
    """Return a number with what it counts: `1 epoch`, `2 epochs`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def duration(seconds: float) -> str:
    """Return seconds in readable units: 45 s, 3 min 20 s, 2 h 05 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
