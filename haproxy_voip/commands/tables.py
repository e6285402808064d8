"""Plain data as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Columns as wide as their widest word, in the order in which the rows first name them.

    Their names are set one word below the other; a column without any value is left out.
    """
    columns = list(dict.fromkeys(key for row in rows for key, value in row.items() if value is not None))
    lines = _heads(columns)
    lines += [[word(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    right = [all(_is_number(row.get(column)) for row in rows) for column in columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def described(result: Mapping[str, object]) -> str:
    """Single values as `name: value`, then each list of rows as a table under its name."""
    single = {key: value for key, value in result.items() if not _is_rows(value)}
    lines = [f"{key.replace('_', ' ')}: {'none' if value is None else word(value)}" for key, value in single.items()]
    for key, value in result.items():
        if isinstance(value, list) and _is_rows(value) and value:
            lines += ["", f"{key.replace('_', ' ')}:", table(value)]
    return "\n".join(lines)


def word(value: object) -> str:
    """One value, short. Nothing is shown as a dash, a flag as yes or nothing."""
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "-"
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case Mapping():
            return ", ".join(f"{key}: {word(inner)}" for key, inner in value.items()) or "-"
        case list() | tuple():
            return ", ".join(map(word, value)) or "-"
        case _:
            return str(value)


def _heads(columns: Sequence[str]) -> list[list[str]]:
    words = [column.split("_") for column in columns]
    height = max(map(len, words), default=1)
    return [list(line) for line in zip(*([""] * (height - len(name)) + name for name in words), strict=True)]


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)
