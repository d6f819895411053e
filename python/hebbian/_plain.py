"""What users give, as a spec has it: every kind of number is a number, and what cannot be used is refused by its name."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from ._escape import line, lines

# So much of a value is shown.
_SHOWN_MAX = 80


def shown(value: object) -> str:
    """A value as a message shows it."""
    try:
        text = repr(value)
    except ValueError:
        # Python writes no number of thousands of digits.
        text = f"a number of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
    # Python leaves characters that are letters to Unicode, and are not seen.
    return lines(text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..")


def _kind(value: object) -> str | None:
    """What NumPy calls the kind of a value, where it is one of its own."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return kind if isinstance(kind, str) else None


def is_flag(value: object) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool) or (_kind(value) == "b" and not getattr(value, "ndim", 0))


def number(field: str, value: Any, expected: str = "a number") -> int | float:
    """A finite number, whole ones as ``int``, whoever made it: Python, NumPy, decimal, a tensor with one."""
    found: int | float | None = None
    is_single = getattr(value, "ndim", None) in (None, 0)
    if is_single and not is_flag(value) and _kind(value) != "c":
        try:
            found = operator.index(value)
        except TypeError:
            if hasattr(type(value), "__float__"):
                try:
                    found = float(value)
                except (TypeError, ValueError):
                    pass
                except OverflowError:
                    found = math.inf
    if found is None:
        raise TypeError(f"{line(field)}: must be {expected}, not {shown(value)}")
    try:
        finite = math.isfinite(found)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"{line(field)}: must be a finite number, not {shown(value)}")
    return found


def whole(field: str, value: Any, low: int, high: int | None = None) -> int:
    """A whole number within bounds."""
    expected = f"a whole number {f'of at least {low}' if high is None else f'from {low} to {high}'}"
    found = number(field, value, expected)
    if found != int(found) or found < low or (high is not None and found > high):
        raise ValueError(f"{line(field)}: must be {expected}, not {shown(value)}")
    return int(found)


def plain(value: Any, field: str = "") -> Any:
    """A value as JSON has it; ``field`` is its path."""
    if value is None or isinstance(value, str):
        return value
    if is_flag(value):
        return bool(value)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{line(field) or 'spec'}: its names must be texts, not {shown(key)}")
        return {key: plain(of, f"{field}.{key}" if field else key) for key, of in value.items()}
    if getattr(value, "ndim", 0) and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(of, f"{field}[{place}]") for place, of in enumerate(value)]
    return number(field, value, "a number, a text, true or false, a list or a dictionary")
