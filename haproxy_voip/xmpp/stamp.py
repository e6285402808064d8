"""Times as XEP-0082 writes them, for delay stamps. Wall-clock seconds since 1970, UTC, are handed in."""

from __future__ import annotations

import re
from typing import Final

_DAY: Final = 86_400  # seconds; POSIX time has no leap seconds
# XEP-0082 section 3.2: CCYY-MM-DDThh:mm:ss[.sss]TZD; and section 4's old form without hyphens, still seen in archives.
_STAMP: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))?", re.ASCII
)


def utc_stamp(epoch: float) -> str:
    """`2026-01-31T23:59:59.123Z`."""
    milliseconds = round(epoch * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    days, seconds = divmod(seconds, _DAY)
    year, month, day = _civil(days)
    hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z"


def parse_stamp(text: str) -> float | None:
    """Seconds since 1970; None when it is no DateTime of XEP-0082."""
    found = _STAMP.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[group]) for group in range(1, 7))
    days = _days(year, month, day)
    if _civil(days) != (year, month, day) or hour > 23 or minute > 59 or second > 60:
        return None
    offset = 0 if found[8] is None else (int(found[9]) * 60 + int(found[10])) * 60
    ahead = -offset if found[8] == "-" else offset
    return days * _DAY + hour * 3600 + minute * 60 + second - ahead + float(found[7] or 0)


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar. Its years begin in March here, so that a leap day ends one."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    # 719,468 days lie between 0000-03-01 and 1970-01-01; an era of 400 years has 146,097.
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day: the reverse of `_days`."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = (shifted + 2) % 12 + 1
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1
