"""The language of what a person reads: messages are written in Traditional Chinese and looked up in a catalogue.

A message is one whole sentence or label with named places for values, never put together from fragments:

    tr("已完成 {done:,}/{total:,}", done=3, total=20)
    tr_n("{count:,} 個問題", len(queries))
    TITLES = {OutcomeKind.FAILED: marked("失敗")}     # looked up where it is shown: tr(TITLES[kind])

The Chinese text is the key. The other languages' catalogues are GNU gettext files under locale/, written with
`make messages`. There is one language in a process, as there is one screen.
"""

from __future__ import annotations

import contextlib
import gettext
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = [
    "DOMAIN", "LANGUAGES", "LOCALE", "ambient_language", "find_language", "language", "marked", "tr", "tr_n",
    "use_language",
]  # fmt: skip

DOMAIN: Final = "parallel_processing"
LOCALE: Final = Path(__file__).parent / "locale"
LANGUAGES: Final[Mapping[str, str]] = {"zh_TW": "正體中文", "en": "English"}
_SOURCE: Final = "zh_TW"
_AMBIENT: Final = ("LC_ALL", "LC_MESSAGES", "LANG")

_translations: gettext.NullTranslations = gettext.NullTranslations()
_language: str = _SOURCE


def tr(message: str, /, **values: object) -> str:
    """The message in the language in use, with the values in their places (str.format). Thread-safe."""
    text = _translations.gettext(message) if message else ""  # to gettext "" means the catalogue's own header
    return text.format(**values) if values else text


def tr_n(message: str, count: int, /, **values: object) -> str:
    """As tr(), in the form that the language has for that many; the count itself is {count}."""
    return _translations.ngettext(message, message, count).format(count=count, **values)


def marked(message: str) -> str:
    """The message itself: says where a constant is written that it will be looked up with tr() when shown."""
    return message


def language() -> str:
    """The language in use: a key of LANGUAGES."""
    return _language


def use_language(code: str) -> None:
    """Show everything from now on in that language: a key of LANGUAGES. Raises ValueError where it is none.

    Where its catalogue is missing or damaged the language is Traditional Chinese, which needs none: see language().
    """
    global _language, _translations
    if code not in LANGUAGES:
        raise ValueError(f"no language {code!r}")
    _translations, _language = gettext.NullTranslations(), _SOURCE
    if code != _SOURCE:
        with contextlib.suppress(OSError, UnicodeError, struct.error):
            _translations, _language = gettext.translation(DOMAIN, LOCALE, languages=[code]), code


def ambient_language(environ: Mapping[str, str]) -> str:
    """The language that the environment asks for: the first of LC_ALL, LC_MESSAGES and LANG that is set decides, as
    POSIX has it. Where it names none of ours it is Traditional Chinese, in which the program is written.
    """
    name = next((environ[name] for name in _AMBIENT if environ.get(name)), "")
    return find_language(name) or _SOURCE


def find_language(name: str) -> str | None:
    """The key of LANGUAGES for a name such as en, en-GB or zh_TW.UTF-8; None where there is none."""
    main = name.strip().replace("-", "_").split(".")[0].split("_")[0].lower()
    return next((code for code in LANGUAGES if code.split("_")[0] == main), None)
