"""Makes untrusted text safe for a terminal: what would act on it, or hide in it, becomes visible."""

from __future__ import annotations

import json
import re
from typing import Final

__all__ = ["json_line", "neutralise"]

# C0 except tab and newline, DEL, C1; then what reorders or hides text: soft hyphen, Arabic letter mark, Mongolian
# vowel separator, zero-width space, direction marks, line and paragraph separators, bidi embeddings and overrides,
# word joiner and invisible operators, bidi isolates, deprecated format characters, Hangul fillers, surrogates,
# byte order mark, interlinear annotations, shorthand and musical format characters, tags.
# ZWJ, ZWNJ and variation selectors stay: emoji, Indic scripts and Han variants are written with them.
_FORBIDDEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff"
    "\uffa0\ufff9-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
_CONTROL_PICTURES: Final = 0x2400


def neutralise(text: str, *, keep_newlines: bool = True) -> str:
    """The text with every character that could act on a terminal, or hide, made visible. Pure and idempotent.

    ESC becomes ␛ (so do the other C0 controls and DEL, each its picture); everything else becomes an escape such
    as \\u202e. Tabs stay, CR LF becomes a newline; with keep_newlines=False a newline becomes ␊, for labels that
    must stay one line. Emoji joined by ZWJ, variation selectors and CJK are untouched.
    """
    if not keep_newlines:
        text = text.replace("\r\n", "\n").replace("\n", "␊")
    if not _FORBIDDEN.search(text):
        return text
    return _FORBIDDEN.sub(_visible, text.replace("\r\n", "\n"))


def json_line(value: object, *, ascii_only: bool = False) -> str:
    """The value as JSON on one line, in which nothing can act on a terminal: such characters are JSON's own escapes.

    Nothing is lost: a reader of JSON gets the characters themselves. NaN and infinities become null.
    """
    try:
        text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:
        text = json.dumps(json.loads(json.dumps(value), parse_constant=lambda _: None), ensure_ascii=ascii_only)
    return _FORBIDDEN.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(_CONTROL_PICTURES + code)
    if code == 0x7F:
        return "␡"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
