"""Text that others wrote, as it can be shown: what moves a cursor, hides or reorders other text becomes visible.

Names, reasons, errors, files: whoever wrote them may have meant the terminal. The characters are those of `view/src/escape.rs`, and they
are spelled as the program spells them; a test compares both lists.
"""

from __future__ import annotations

import logging
import re

_HOSTILE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    r"\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _spelled(found: re.Match[str]) -> str:
    return _NAMED.get(found[0]) or f"\\u{{{ord(found[0]):x}}}"


def line(text: str) -> str:
    """Within a line: a name, a line of a log."""
    return _HOSTILE.sub(_spelled, text)


def lines(text: str) -> str:
    """Whole lines: the message of an exception."""
    return _HOSTILE.sub(lambda found: found[0] if found[0] in "\n\t" else _spelled(found), text)


class _Lines(logging.Filter):
    """Makes each record a line that means nothing, whoever handles it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = line(record.getMessage()), ()
        return True


#: What the package has to tell.
logger = logging.getLogger("hebbian")
logger.addFilter(_Lines())
