"""Text that others wrote, as messages and the log show it: it is seen and does nothing to a terminal."""

from __future__ import annotations

import logging
import re

# What does something to other text instead of being seen: controls, marks of direction, invisible characters. The program has the same
# list (view/src/escape.rs), and a test compares them.
_HOSTILE = (
    (0x00, 0x09),
    (0x0B, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0xE0000, 0xE0FFF),
)
_FOUND = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _HOSTILE) + "]")


def readable(text: str) -> str:
    """The text with what would not be seen spelled out as ``\\u{1b}``, as the program does it; line ends stay."""
    return _FOUND.sub(lambda found: f"\\u{{{ord(found[0]):x}}}", text)


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = readable(record.getMessage()), ()
        return True


# The package's log: all of it is readable, for what it tells of peers comes from them.
logger = logging.getLogger("hebbian")
logger.addFilter(_Filter())
