"""The catalogues of the screen's other languages, made from the messages in the program.

    python -m tests.messages [--from FILE.json ...]

Writes every message that stands in tr(), tr_n() or marked() into core/locale/LANGUAGE/LC_MESSAGES, in the order of the
files, with the translations there are, and compiles them. Messages that are no more are dropped. A FILE holds more
translations: {"message": "text", "message with {count}": ["one", "other"]}. What is wrong is said, and the exit code
is 1 then.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import string
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes

from core.language import DOMAIN, LANGUAGES, LOCALE

__all__ = [
    "CHINESE", "NAMES", "ROOT", "TRANSLATED", "Call", "Message", "Translation", "built", "calls_in", "catalogue_file",
    "compiled", "faults", "messages", "places", "read_catalogue", "source_files", "translations",
]  # fmt: skip

Translation: TypeAlias = str | tuple[str, str]  # of a count: for one, for others

ROOT: Final = Path(__file__).resolve().parents[1]
NAMES: Final = frozenset({"tr", "tr_n", "marked"})
CHINESE: Final = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
TRANSLATED: Final = tuple(code for code in LANGUAGES if code != "zh_TW")
_NAMES_OF_LANGUAGES: Final = re.compile("|".join(map(re.escape, LANGUAGES.values())))
_A_PAGE: Final = 4  # line ends
_HEADER: Final = (
    ("Language", "en"),
    ("MIME-Version", "1.0"),
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Transfer-Encoding", "8bit"),
    ("Plural-Forms", "nplurals=2; plural=(n != 1);"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a name in NAMES. text is None where its first argument is no literal; values, where it has **."""

    file: str
    line: int
    name: str
    text: str | None
    values: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Message:
    """A text to translate. plural: it is shown with a count; files: where it stands, in order."""

    text: str
    plural: bool
    files: tuple[str, ...]


def source_files() -> list[Path]:
    """The program's modules and templates, in the order of their names."""
    rooms = [path for room in ("core", "optimizers", "utils", "workflows") for path in (ROOT / room).rglob("*")]
    return [ROOT / "main.py", *sorted(path for path in rooms if path.suffix in (".py", ".html"))]


def calls_in(path: Path) -> Iterator[Call]:
    """The uses in that file, from top to bottom."""
    name, source = str(path.relative_to(ROOT)), path.read_text("utf-8")
    found = _template_calls(name, source) if path.suffix == ".html" else _module_calls(name, source)
    return iter(sorted(found, key=lambda call: call.line))


def _module_calls(file: str, source: str) -> Iterator[Call]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            first = node.args[0] if node.args else None
            text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
            named = [keyword.arg for keyword in node.keywords]
            values = None if None in named else frozenset(filter(None, named))
            yield Call(file, node.lineno, node.func.id, text, values)


def _template_calls(file: str, source: str) -> Iterator[Call]:
    for node in Environment(autoescape=True).parse(source).find_all(nodes.Call):
        if isinstance(node.node, nodes.Name) and node.node.name in NAMES:
            first = node.args[0] if node.args else None
            text = first.value if isinstance(first, nodes.Const) and isinstance(first.value, str) else None
            values = frozenset(keyword.key for keyword in node.kwargs)
            yield Call(file, node.lineno, node.node.name, text, None if node.dyn_kwargs else values)


def messages(files: Iterable[Path] | None = None) -> dict[str, Message]:
    """All messages of the program by their text, in the order of the files."""
    found: dict[str, Message] = {}
    for path in source_files() if files is None else files:
        for call in calls_in(path):
            if call.text is not None:
                known = found.get(call.text, Message(call.text, False, ()))
                places = tuple(dict.fromkeys((*known.files, call.file)))
                found[call.text] = replace(known, plural=known.plural or call.name == "tr_n", files=places)
    return found


def places(text: str) -> frozenset[str]:
    """The places for values, each with its conversion and format: name!r:>5. None in what str.format cannot read."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return frozenset()
    return frozenset(
        f"{name}{'!' if conversion else ''}{conversion or ''}{':' if spec else ''}{spec or ''}"
        for _, name, spec, conversion in parts
        if name is not None and re.match(r"[A-Za-z_]", name)
    )


def faults(message: Message, translation: Translation | None) -> list[str]:
    """What is wrong with a translation, in words; nothing, if it may be shown in place of the message."""
    if not translation or not all(translation):
        return ["no translation"]
    forms = (translation,) if isinstance(translation, str) else translation
    found = [
        fault
        for number, form in enumerate(forms)
        for fault in _form_faults(message.text, form, may_lack_count=number == 0 and len(forms) == 2)
    ]
    if message.plural and len(forms) == 1:
        found.append("one form, where one and other are needed")
    return found


def _form_faults(text: str, form: str, *, may_lack_count: bool) -> Iterator[str]:
    wanted, given = places(text), places(form)
    may_lack = {each for each in wanted if may_lack_count and re.match(r"count\b", each)}
    if not wanted - may_lack <= given <= wanted:
        yield f"other places than the message: {sorted(given ^ wanted)}"
    is_separator = not re.search(r"\w", text)  # between Chinese words there is no blank, between others there is
    lines = text.count("\n")
    other_lines = lines < _A_PAGE and lines != form.count("\n")  # a page of help is wrapped as its language needs
    if not is_separator and (_edges(text) != _edges(form) or other_lines):
        yield "other white space around it, or other lines, than the message"
    if CHINESE.search(_NAMES_OF_LANGUAGES.sub("", form)):
        yield "Chinese characters"


def _edges(text: str) -> tuple[str, str]:
    return text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]


def catalogue_file(language: str, suffix: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}{suffix}"


def read_catalogue(language: str) -> Catalog:
    """The catalogue as it lies in the tree; empty where there is none."""
    path = catalogue_file(language, ".po")
    data = path.read_bytes() if path.exists() else b""
    return read_po(io.BytesIO(data), locale=language, abort_invalid=True)


def translations(catalogue: Catalog) -> dict[str, Translation]:
    """The translations in a catalogue, empty ones too, by message."""
    found: dict[str, Translation] = {}
    for entry in catalogue:
        if isinstance(entry.id, str):
            if entry.id:  # the header has none
                found[entry.id] = str(entry.string)
        else:
            one, other = (str(form) for form in entry.string or ("", ""))
            found[entry.id[0]] = (one, other)
    return found


class _Catalogue(Catalog):
    """Without dates in the header: the same messages are the same file."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return list(_HEADER)


def built(known: Mapping[str, Translation]) -> Catalog:
    """The catalogue of the program's messages."""
    catalogue = _Catalogue(locale="en", domain=DOMAIN, header_comment="# Written by `make messages`.", fuzzy=False)
    for message in messages().values():
        translation = known.get(message.text, "")
        plural = message.plural or isinstance(translation, tuple)
        if plural and isinstance(translation, str):
            translation = (translation, translation)
        key = (message.text, message.text) if plural else message.text
        entry = catalogue.add(key, translation, [(file, 0) for file in message.files])
        entry.flags.clear()  # a guess that a percent sign is a place for a value
    return catalogue


def compiled(catalogue: Catalog) -> bytes:
    """The .mo file of a catalogue."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def _write(language: str, catalogue: Catalog) -> None:
    catalogue_file(language, ".po").parent.mkdir(parents=True, exist_ok=True)
    with catalogue_file(language, ".po").open("wb") as file:
        write_po(file, catalogue, width=120, include_lineno=False)
    catalogue_file(language, ".mo").write_bytes(compiled(catalogue))


def _read_more(file: str) -> Iterator[tuple[str, Translation]]:
    for text, translation in json.loads(Path(file).read_text("utf-8")).items():
        yield text, translation if isinstance(translation, str) else tuple(translation)


def _known(language: str, files: Sequence[str]) -> Iterator[str | tuple[str, Translation]]:
    """The translations there are, the later the stronger; and sentences about two files that do not agree."""
    yield from translations(read_catalogue(language)).items()
    told: dict[str, Translation] = {}
    for file in files:
        for text, translation in _read_more(file):
            if told.setdefault(text, translation) != translation:
                yield f"{file}: {text!r} is {translation!r} here and {told[text]!r} before"
            yield text, translation


def _wrong(catalogue: Catalog) -> Iterator[str]:
    known = translations(catalogue)
    for message in messages().values():
        for fault in faults(message, known.get(message.text)):
            yield f"{', '.join(message.files)}: {message.text!r}: {fault}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="messages", description="write the catalogues of the screen's languages")
    parser.add_argument("--from", dest="files", nargs="+", default=[], metavar="FILE.json", help="more translations")
    files = parser.parse_args(arguments).files
    sentences: list[str] = []
    failed = False
    for language in TRANSLATED:
        known = list(_known(language, files))
        catalogue = built(dict(each for each in known if not isinstance(each, str)))
        _write(language, catalogue)
        sentences += [each for each in known if isinstance(each, str)]
        wrong = list(_wrong(catalogue))
        failed = failed or bool(wrong)
        sentences += [*wrong, f"{language}: {len(list(catalogue)) - 1} messages, {len(wrong)} of them to be put right"]
    sys.stdout.write("\n".join(sentences) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
