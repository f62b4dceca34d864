"""Formats numbers for people: counts, durations, sizes, sparklines."""

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


def size(count: int) -> str:
    """Return bytes in readable units, of 1000 each: 512 B, 3.4 kB, 120 MB.

    >>> size(512), size(3_440), size(120_000_000)
    ('512 B', '3.4 kB', '120 MB')
    """
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
