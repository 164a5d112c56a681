"""Figures as people read them: counts, sizes, durations. Each kind has one form, on pages and in sentences."""

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60
_YEAR = 365 * _DAY


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 file`, `2,000 files`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size_text(size: int) -> str:
    """`18 B`, `3.4 kB`, `29 MB`: decimal units, as disks and the public hub count."""
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.3g} {unit}"


def duration_text(seconds: float) -> str:
    """What was measured, in at most two parts: `40 ms`, `0.8 s`, `45 s`, `12 min 5 s`, `1 h 30 min`, `3 days 4 h`."""
    if 0 < seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _parts(f"{whole // _MINUTE} min", whole % _MINUTE, "s")
    minutes = round(seconds / _MINUTE)
    if minutes < 48 * 60:
        return _parts(f"{minutes // 60} h", minutes % 60, "min")
    hours = round(seconds / _HOUR)
    return _parts(plural(hours // 24, "day"), hours % 24, "h")


def span_text(seconds: int) -> str:
    """What somebody chose, in the largest unit in which it is whole: `10 years`, `90 days`, `24 hours`, `1 minute`."""
    for size, unit in ((_YEAR, "year"), (_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds and seconds % size == 0 and (size, seconds) != (_DAY, _DAY):
            return plural(seconds // size, unit)
    return plural(seconds, "second")


def _parts(first: str, rest: int, unit: str) -> str:
    return f"{first} {rest} {unit}" if rest else first
