"""A language for tests that need to see that a text is looked up, without the catalogues of the real ones."""

from __future__ import annotations

import gettext

__all__ = ["AnotherLanguage"]


class AnotherLanguage(gettext.NullTranslations):
    """Has a translation of every message: the message in angle brackets."""

    def gettext(self, message: str) -> str:
        return f"<{message}>"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"<{msgid1 if n == 1 else msgid2}>"
