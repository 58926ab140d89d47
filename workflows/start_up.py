"""What happens before there is a console: the arguments are read, in the right language, and logging is set."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from core.language import ambient_language, use_language

__all__ = ["read_arguments", "set_up_logging"]

_NONE: Final = argparse.Namespace(command=None, plain=False, no_color=False, debug=False)


def read_arguments(given: Sequence[str], environ: Mapping[str, str], *, version: str) -> argparse.Namespace:
    """The options, among them command, None for the menu. Raises SystemExit where they are wrong or ask for help."""
    if not given:  # the commands cost time that the menu does not have
        return _NONE
    from workflows.command_line import read_options
    from workflows.parser import language_asked

    use_language(language_asked(given) or ambient_language(environ))
    return read_options(given, version=version)


def set_up_logging(*, debug: bool) -> None:
    """Warnings go to stderr with --debug only: a person at the menu is told what matters by the menu."""
    if debug:
        logging.basicConfig(level=logging.WARNING)
        logging.getLogger("core.providers").setLevel(logging.INFO)  # the libraries' own words for a network's trouble
    else:
        logging.getLogger().addHandler(logging.NullHandler())  # without any, Python prints that there is none
