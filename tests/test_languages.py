"""What a person reads can be read in every language: all of it is messages, and every catalogue has them all."""

from __future__ import annotations

import ast
import functools
import gettext
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from babel.messages.mofile import read_mo
from jinja2 import Environment, nodes

from core.errors import ErrorKind, ModelError
from core.providers.offline import OfflineModel
from optimizers.analyses import ANALYSES, Field
from optimizers.cached_model import chat_key
from optimizers.catalogue import TIER_TITLES, load_catalogue
from optimizers.own_analyses import analysis_from_spec, closed_category, custom_analysis
from optimizers.packing import pack_prompt
from tests import messages as tool
from tests.another_language import AnotherLanguage
from tests.messages import CHINESE, NAMES, ROOT, TRANSLATED, Message

FUNCTIONS: Final = NAMES - {"marked"}  # these look a message up; the other one says only that it is one

# Chinese that is no message, by file and by the name under which it stands; "*" is all of the file.
DATA: Final = {
    "core/language.py": {"LANGUAGES": "a language's name is written in itself"},
    "core/providers/_offline_answers.py": {"*": "what the offline model answers, and the words it goes by"},
    "core/providers/offline.py": {
        "_BUILT_IN": "questions that the model knows",
        "_bare": "a question mark as a person types it",
    },
    "optimizers/analyses.py": {
        "_DATA_RULE": "goes to the model",
        "ANALYSES": "instructions and labels go to the model",
        "Analysis._example": "goes to the model",
    },
    "optimizers/own_analyses.py": {
        "_BETWEEN": "commas as a person types them",
        "closed_category": "goes to the model",
        "_field": "a colon and a bar as a person types them",
    },
    "optimizers/packing.py": {"_PACK_RULE": "goes to the model", "pack_prompt": "goes to the model"},
    "utils/console.py": {"_YES": "what a person may answer, in any language of the screen"},
    "utils/export_tables.py": {"_FORMULA": "what spreadsheets take for a formula"},
    "utils/limiter_text.py": {"_UNITS": "chosen by the language itself"},
    "utils/list_marks.py": dict.fromkeys(
        ("_MARK", "_HAN", "_FULL", "find_list", "_mark", "_value"), "numbers and marks of lists as people write them"
    ),
    "utils/markdown_inline.py": dict.fromkeys(("_NEVER_FIRST", "_NEVER_LAST"), "where a line of Chinese may break"),
    "utils/neutralise.py": {"_FORBIDDEN": "a Hangul filler that looks like nothing"},
    "utils/output_stream.py": dict.fromkeys(("_PLAIN", "_SPOKEN"), "punctuation and what stands for it"),
    "utils/query_text.py": {"_QUESTION_END": "a question mark as a person types it"},
    "utils/source_formats.py": {"_KNOWN_COLUMNS": "names of columns in people's files"},
    "workflows/custom_queries.py": {"_RUN": "what a person may answer, in any language of the screen"},
    "workflows/history_menu.py": {"_PRUNING": "days as a person types them"},
}


@dataclass(frozen=True, slots=True)
class Text:
    """A Chinese text that is no argument of tr() and the like. name: where it stands, such as Class.method."""

    file: str
    line: int
    name: str
    text: str

    @property
    def is_data(self) -> bool:
        known = DATA.get(self.file, {})
        return "*" in known or self.name in known


class Reader(ast.NodeVisitor):
    """Walks one module: texts, what runs while it is imported, and what cannot be looked up."""

    def __init__(self, path: Path) -> None:
        self.file = str(path.relative_to(ROOT))
        self.texts: list[Text] = []
        self.too_early: list[str] = []
        self.put_together: list[str] = []
        self.renamed: list[str] = []
        self._names: list[str] = []
        self._is_later = False  # inside a function's body, which does not run at the import
        self._passed: set[int] = set()  # constants that are docstrings or messages
        self.visit(ast.parse(path.read_text("utf-8")))

    def visit_Module(self, node: ast.Module) -> None:
        self._body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords])
        self._names.append(node.name)
        self._body(node)
        self._names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all([*node.decorator_list, node.args])
        self._names.append(node.name)
        self._later(node)
        self._names.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all([node.args])
        before, self._is_later = self._is_later, True
        self.visit(node.body)
        self._is_later = before

    def visit_Assign(self, node: ast.Assign) -> None:
        self._assigned(node, node.targets[0])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._assigned(node, node.target)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in NAMES:
            first = node.args[0] if node.args else None
            self._passed.add(id(first))
            literal = isinstance(first, ast.Constant) and isinstance(first.value, str)
            is_looked_up = node.func.id in FUNCTIONS and not isinstance(first, ast.JoinedStr | ast.BinOp | None)
            if not literal and not is_looked_up:
                self.put_together.append(f"{self.file}:{node.lineno}")
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in FUNCTIONS and not self._is_later:
            self.too_early.append(f"{self.file}:{node.lineno}")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if any(alias.name in NAMES and alias.asname for alias in node.names):
            self.renamed.append(f"{self.file}:{node.lineno}")

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and CHINESE.search(node.value) and id(node) not in self._passed:
            self.texts.append(Text(self.file, node.lineno, ".".join(self._names), node.value))

    def _assigned(self, node: ast.Assign | ast.AnnAssign, target: ast.expr) -> None:
        named = not self._is_later and isinstance(target, ast.Name)
        if named and isinstance(target, ast.Name):
            self._names.append(target.id)
        self.generic_visit(node)
        if named:
            self._names.pop()

    def _later(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before, self._is_later = self._is_later, True
        self._body(node)
        self._is_later = before

    def _body(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr):
            self._passed.add(id(first.value))
        self._visit_all(node.body)

    def _visit_all(self, parts: Sequence[ast.AST]) -> None:
        for part in parts:
            self.visit(part)


@functools.cache
def modules() -> tuple[Reader, ...]:
    return tuple(Reader(path) for path in tool.source_files() if path.suffix == ".py")


@functools.cache
def messages() -> dict[str, Message]:
    return tool.messages()


@functools.cache
def calls() -> tuple[tool.Call, ...]:
    return tuple(call for path in tool.source_files() for call in tool.calls_in(path))


def template_texts(path: Path) -> Iterator[tuple[int, str]]:
    """The Chinese in a template that is no argument of tr(): in its HTML or in an expression."""
    tree = Environment(autoescape=True).parse(path.read_text("utf-8"))
    passed = {id(call.args[0]) for call in tree.find_all(nodes.Call) if call.args}
    for found in tree.find_all((nodes.TemplateData, nodes.Const)):
        text = found.data if isinstance(found, nodes.TemplateData) else getattr(found, "value", "")
        if isinstance(text, str) and CHINESE.search(text) and id(found) not in passed:
            yield found.lineno, text


def test_all_that_a_person_reads_is_a_message() -> None:
    """Chinese stands in tr(), tr_n() and marked(), or is data with a reason; so there is none in an f-string either."""
    loose = [text for module in modules() for text in module.texts if not text.is_data]
    assert [f"{text.file}:{text.line} {text.name}: {text.text[:40]!r}" for text in loose] == []


def test_templates_hold_messages_too() -> None:
    """There is no Chinese in the HTML itself, where nothing could look it up."""
    files = [path for path in tool.source_files() if path.suffix == ".html"]
    assert files
    assert [f"{path.name}:{line} {text[:40]!r}" for path in files for line, text in template_texts(path)] == []


def test_every_exception_is_needed() -> None:
    """What is named as data is there, so that the list does not excuse what comes later."""
    used = {(text.file, name) for module in modules() for text in module.texts for name in ("*", text.name)}
    assert [(file, name) for file, names in DATA.items() for name in names if (file, name) not in used] == []


def test_a_message_is_one_whole_literal() -> None:
    """A message made of pieces is in no catalogue, and neither is one under another name than tr."""
    assert [place for module in modules() for place in (*module.put_together, *module.renamed)] == []


def test_nothing_is_looked_up_before_the_language_is_known() -> None:
    """An import comes before the settings: constants are marked there and looked up where they are shown."""
    assert [place for module in modules() for place in module.too_early] == []


def test_every_place_gets_its_value() -> None:
    """A call gives the values that its message has places for, and no others."""
    wrong = []
    for call in calls():
        if call.text is not None and call.values is not None and call.name != "marked":
            given = call.values | ({"count"} if call.name == "tr_n" else set())
            wanted = {place.split("!")[0].split(":")[0] for place in tool.places(call.text)}
            if given != wanted and not (call.name == "tr_n" and given - wanted == {"count"}):
                wrong.append(f"{call.file}:{call.line} {call.text!r}")
    assert wrong == []


def test_a_message_counts_or_does_not() -> None:
    """One text cannot be looked up both with a count and without: it has either one translation or two."""
    kinds = {(call.text, call.name == "tr_n") for call in calls() if call.text is not None and call.name != "marked"}
    assert [text for text, counts in kinds if counts and (text, False) in kinds] == []


def test_what_is_kept_or_sent_does_not_depend_on_the_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts, specs of analyses, schemas, cache keys and identities are the same in every language."""

    def kept() -> list[object]:
        made = (closed_category(["甲", "乙"]), custom_analysis("看看", [Field("價格", "number")]))
        analyses = [*ANALYSES.values(), *made]
        prompts = [analysis.prompt("文字") for analysis in analyses]
        packs = [pack_prompt(analysis, ["一", "二"]).prompt for analysis in analyses]
        keys = [chat_key("model", prompt) for prompt in (*prompts, *packs)]
        model = OfflineModel(faults="slow=1, quota_minute", scale=0)
        return [*(analysis.spec for analysis in analyses), *prompts, *packs, *keys, model.identity]

    before = kept()
    monkeypatch.setattr("core.language._translations", AnotherLanguage())
    assert kept() == before
    assert [analysis_from_spec(analysis.spec) for analysis in ANALYSES.values()] == list(ANALYSES.values())


def test_an_error_speaks_the_language_of_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind has its reason and advice looked up when it is read, in the same error object."""
    errors = [ModelError(kind) for kind in ErrorKind]
    before = [(error.reason, error.advice) for error in errors]
    monkeypatch.setattr("core.language._translations", AnotherLanguage())
    assert [(error.reason, error.advice) for error in errors] == [(f"<{one}>", f"<{two}>") for one, two in before]
    assert ModelError(ErrorKind.EMPTY, "detail").reason == "<模型沒有回答> (detail)"
    assert ModelError(ErrorKind.QUOTA_DAY, resets_at=0.0).advice.startswith("<配額將於 ")


def test_the_tiers_of_the_data_file_are_messages() -> None:
    """A title that comes from a data file is known to the catalogues."""
    assert {tier.title for tier in load_catalogue().tiers()} == set(TIER_TITLES)


@pytest.mark.parametrize("language", TRANSLATED)
class TestCatalogue:
    def test_has_just_the_messages_of_the_program(self, language: str) -> None:
        """None is missing, none is left over, none was guessed."""
        catalogue = tool.read_catalogue(language)
        known = tool.translations(catalogue)
        assert [text for text in messages() if text not in known] == []
        assert [text for text in known if text not in messages()] == []
        assert list(catalogue.obsolete) == []
        assert [entry.id for entry in catalogue if entry.id and entry.fuzzy] == []

    def test_every_translation_can_stand_for_its_message(self, language: str) -> None:
        """It has the same places, lines and white space around it, as many forms as it needs, and no Chinese."""
        known = tool.translations(tool.read_catalogue(language))
        wrong = {text: tool.faults(message, known.get(text)) for text, message in messages().items()}
        assert {text: found for text, found in wrong.items() if found} == {}

    def test_is_compiled(self, language: str) -> None:
        """What the program reads is what the people who translate have written."""
        written = tool.catalogue_file(language, ".mo")
        assert written.exists(), "run `make messages`"
        compiled = read_mo(io.BytesIO(tool.compiled(tool.read_catalogue(language))))
        assert tool.translations(read_mo(io.BytesIO(written.read_bytes()))) == tool.translations(compiled)


FAULTY: Final = [
    ("{count:,} 個", True, "{count:,} of them", "one form"),
    ("{count:,} 個", True, ("one", "many"), "places"),
    ("有 {name}", False, "has {nam}", "places"),
    ("有 {size:,}", False, "has {size}", "places"),
    ("有 {size:,}", False, "has {size:,} of {total}", "places"),
    ("  有\n", False, "yes\n", "white space"),
    ("有\n兩行", False, "two lines", "lines"),
    ("有", False, "有 yes", "Chinese"),
    ("有", False, "yes, there is\uff01", "Chinese"),
    ("有", False, "", "no translation"),
    ("有", False, None, "no translation"),
    ("{count:,} 個", True, ("one", ""), "no translation"),
]


@pytest.mark.parametrize(("text", "plural", "translation", "fault"), FAULTY)
def test_a_faulty_translation_is_found(text: str, plural: bool, translation: tool.Translation, fault: str) -> None:
    """Each kind of mistake that the catalogues are checked for is one that the check can see."""
    (found,) = tool.faults(Message(text, plural, ("main.py",)), translation)
    assert fault in found


@pytest.mark.parametrize(
    ("text", "plural", "translation"),
    [
        ("{count:,} 個", True, ("one", "{count:,} of them")),
        ("、", False, ", "),
        ("語言", False, "Language (正體中文)"),
        ('{"a": 1} 是 {b!r:>3}', False, 'is {b!r:>3} {"a": 1}'),
    ],
)
def test_a_good_translation_is_let_through(text: str, plural: bool, translation: tool.Translation) -> None:
    """A count may be left out for one; separators have their language's blanks; a language has its own name."""
    assert tool.faults(Message(text, plural, ("main.py",)), translation) == []


SAMPLE: Final = '''"""說明"""
from core.language import marked, tr as _, tr_n
A = marked("甲" "乙")
B = {"x": tr("早")}
C = f"第 {A} 個"
def f(x=tr("早")):
    """說明"""
    y = lambda: tr(A)
    return tr(f"第 {x}"), tr("a" + A), tr_n("{count} 個", x, name="n"), "散"
class D:
    e = tr_n("早", 1)
    def g(self):
        return map(tr, "散")
'''


def test_the_reader_sees_what_it_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts outside of messages, messages in pieces, look-ups at import and other names: each is found in a sample."""
    monkeypatch.setattr("tests.messages.ROOT", tmp_path)
    monkeypatch.setattr("tests.test_languages.ROOT", tmp_path)
    path = tmp_path / "sample.py"
    path.write_text(SAMPLE, "utf-8")
    found = Reader(path)
    assert [(text.name, text.text) for text in found.texts] == [
        ("C", "第 "), ("C", " 個"), ("f", "第 "), ("f", "散"), ("D.g", "散"),
    ]  # fmt: skip
    assert found.too_early == ["sample.py:4", "sample.py:6", "sample.py:11"]
    assert found.put_together == ["sample.py:9", "sample.py:9"]
    assert found.renamed == ["sample.py:2"]
    assert [(call.name, call.text, call.values) for call in tool.calls_in(path) if call.line == 9] == [
        ("tr", None, frozenset()), ("tr", None, frozenset()), ("tr_n", "{count} 個", frozenset({"name"})),
    ]  # fmt: skip
    assert [(message.text, message.plural) for message in tool.messages([path]).values()] == [
        ("甲乙", False), ("早", True), ("{count} 個", True),
    ]  # fmt: skip


def test_a_template_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages and loose texts are found between the tags."""
    monkeypatch.setattr("tests.messages.ROOT", tmp_path)
    path = tmp_path / "page.html"
    path.write_text('<p>散 {{ tr("有 {n}", n=1) }}\n{{ tr_n("{count} 個", 2) }} {{ "散二" }}</p>', "utf-8")
    assert [(call.line, call.name, call.text, call.values) for call in tool.calls_in(path)] == [
        (1, "tr", "有 {n}", frozenset({"n"})), (2, "tr_n", "{count} 個", frozenset()),
    ]  # fmt: skip
    assert [text for _, text in template_texts(path)] == ["<p>散 ", "散二"]


class TestTool:
    @pytest.fixture
    def tree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        (tmp_path / "main.py").write_text('tr("有")\ntr_n("{count} 個", 2)\n', "utf-8")
        monkeypatch.setattr("tests.messages.ROOT", tmp_path)
        monkeypatch.setattr("tests.messages.LOCALE", tmp_path / "locale")
        return tmp_path

    def test_writes_what_it_was_given_and_keeps_what_there_was(self, tree: Path) -> None:
        """A second run without files writes the same bytes again, and a message that is gone is dropped."""
        (tree / "more.json").write_text('{"有": "yes", "{count} 個": ["one", "{count} of them"], "無": "no"}', "utf-8")
        assert tool.main(["--from", str(tree / "more.json")]) == 0
        first = [tool.catalogue_file("en", suffix).read_bytes() for suffix in (".po", ".mo")]
        assert tool.main([]) == 0
        assert [tool.catalogue_file("en", suffix).read_bytes() for suffix in (".po", ".mo")] == first
        known = tool.translations(tool.read_catalogue("en"))
        assert known == {"有": "yes", "{count} 個": ("one", "{count} of them")}
        (tree / "main.py").write_text('tr("有")\n', "utf-8")
        assert tool.main([]) == 0
        assert tool.translations(tool.read_catalogue("en")) == {"有": "yes"}

    def test_gettext_reads_what_it_wrote(self, tree: Path) -> None:
        """The compiled file is a catalogue to Python's own reader, with the plural rule of the language."""
        (tree / "more.json").write_text('{"有": "yes \u2013", "{count} 個": ["one", "{count} of them"]}', "utf-8")
        tool.main(["--from", str(tree / "more.json")])
        found = gettext.translation("parallel_processing", tree / "locale", languages=["en"])
        assert found.gettext("有") == "yes \u2013"
        assert [found.ngettext("{count} 個", "{count} 個", count) for count in (1, 2)] == ["one", "{count} of them"]

    def test_says_what_is_missing(self, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Without all translations the exit code is 1 and the messages are named with their files."""
        assert tool.main([]) == 1
        assert "main.py: '有': no translation" in capsys.readouterr().out

    def test_says_where_two_files_do_not_agree(self, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """The later file counts, and the difference is told."""
        for name, word in (("a", "yes"), ("b", "there is")):
            (tree / f"{name}.json").write_text(f'{{"有": "{word}", "{{count}} 個": ["1", "{{count}}"]}}', "utf-8")
        assert tool.main(["--from", str(tree / "a.json"), str(tree / "b.json")]) == 0
        assert "'有' is 'there is' here and 'yes' before" in capsys.readouterr().out
        assert tool.translations(tool.read_catalogue("en"))["有"] == "there is"
