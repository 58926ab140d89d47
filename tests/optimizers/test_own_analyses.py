"""Analyses of a person's own making."""

from __future__ import annotations

import json

import pytest

from core.errors import UsageError
from optimizers.analyses import ANALYSES, Analysis, Field
from optimizers.own_analyses import analysis_from_spec, closed_category, custom_analysis, parse_fields, parse_labels


def test_a_closed_category_allows_its_labels_only() -> None:
    """The labels are in the instruction and in the enum, trimmed, each once, in the order given."""
    analysis = closed_category([" 帳務 ", "技術", "帳務", "其他"])
    assert analysis.labels == ("帳務", "技術", "其他")
    assert json.loads(analysis.schema)["properties"]["result"]["enum"] == ["帳務", "技術", "其他"]
    assert "帳務、技術、其他" in analysis.instruction
    assert analysis.name == "category"


@pytest.mark.parametrize("count", [2, 200])
def test_from_two_to_two_hundred_labels(count: int) -> None:
    """The bounds themselves are allowed."""
    assert len(closed_category([f"標籤{number}" for number in range(count)]).labels) == count


@pytest.mark.parametrize(
    "labels",
    [
        [], ["一"], ["一", " 一 "], ["一", "  "], [f"{number}" for number in range(201)],
        ["一", "二\n三"], ["一", "二\x1b[2J"], ["一", "\u202e二"], ["一", "一\u200b"], ["一", "\ufeff一"],
        ["一", "二\ud800"], ["一", "二" * 101],
    ],
)  # fmt: skip
def test_labels_that_cannot_be_are_refused(labels: list[str]) -> None:
    """Too few, too many, too long, and characters that cannot be seen or sent; none of them reaches the message."""
    with pytest.raises(UsageError) as caught:
        closed_category(labels)
    message = str(caught.value)
    assert message.startswith("標籤")
    assert "\n" not in message
    assert message.isprintable()


def test_a_joined_emoji_is_a_label() -> None:
    """What joins an emoji has no width and is no trick."""
    assert closed_category(["👨\u200d👩\u200d👧", "👍"]).labels == ("👨\u200d👩\u200d👧", "👍")


def test_labels_are_typed_with_any_comma() -> None:
    """Commas of either width, 、 and semicolons stand between labels."""
    assert parse_labels("帳務,技術，其他、退貨; 讚") == ("帳務", "技術", "其他", "退貨", "讚")


def test_fields_are_typed_as_name_and_type() -> None:
    """A name alone is a text; a type or labels may follow, with colons and bars of either width."""
    assert parse_fields("產品, price:number，星：integer、推薦:boolean; 態度:好|普通｜差,") == (
        Field("產品"),
        Field("price", "number"),
        Field("星", "integer"),
        Field("推薦", "boolean"),
        Field("態度", labels=("好", "普通", "差")),
    )
    assert parse_fields(" ") == ()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1st", "'1st'"), ("a b", "'a b'"), (":number", "':number'"), ("id", "'id'"), ("a:text", "'a:text'"),
        ("a:number:x", "'a:number:x'"), ("a:好|", "標籤"), ("x" * 41, "'xxx"), ("a\x1b", "x1b"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_named(text: str, named: str) -> None:
    """The message is one sentence that shows the wrong part, printable whatever was typed."""
    with pytest.raises(UsageError) as caught:
        parse_fields(f"good, {text}")
    assert named in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_custom_analysis_without_fields_has_one_result() -> None:
    """An instruction is enough."""
    analysis = custom_analysis("  提到哪個產品?\n用一個詞。 ")
    assert analysis.instruction == "提到哪個產品?\n用一個詞。"
    assert analysis.fields == (Field("result"),)


@pytest.mark.parametrize(
    ("instruction", "fields"),
    [
        (" \n", ()), ("看\ud800", ()), ("看\x00", ()), ("看", (Field("a"), Field("a"))),
        ("看", tuple(Field(f"f{number}") for number in range(21))),
    ],
)  # fmt: skip
def test_a_custom_analysis_that_cannot_be_is_refused(instruction: str, fields: tuple[Field, ...]) -> None:
    """No instruction, one that cannot be sent, fields of one name, too many fields."""
    with pytest.raises(UsageError):
        custom_analysis(instruction, fields)


@pytest.mark.parametrize(
    "analysis",
    [
        *ANALYSES.values(),
        closed_category(["帳務", "技術"]),
        custom_analysis("看看"),
        custom_analysis("看看", parse_fields("a, b:number, c:好|壞")),
        custom_analysis("看看", [Field("only", labels=("一",))]),
        custom_analysis("看看", [Field("mood", labels=("一", "二"))]),
    ],
)
def test_a_spec_is_read_back_as_what_made_it(analysis: Analysis) -> None:
    """Name, title and fields are those of the analysis that wrote the spec."""
    assert analysis_from_spec(analysis.spec) == analysis


@pytest.mark.parametrize(
    "spec",
    [
        "", "{", "[]", "3", "{}", "[" * 100_000,
        '{"fields": [], "instruction": "x"}',
        '{"fields": [["a", "zork", []]], "instruction": "x"}',
        '{"fields": [["a", "integer", ["1", "2"]]], "instruction": "x"}',
        '{"fields": [["a", "string", [1, 2]]], "instruction": "x"}',
        '{"fields": [["a", "string"]], "instruction": "x"}',
        '{"fields": [["a", "string", []]], "instruction": " x "}',
        '{"fields": [["a", "string", []]], "instruction": 7}',
        '{"fields": [["a", "string", []], ["a", "number", []]], "instruction": "x"}',
    ],
    ids=lambda spec: spec[:60],
)  # fmt: skip
def test_a_spec_that_nobody_wrote_is_refused(spec: str) -> None:
    """What another program put into the journal is no analysis."""
    with pytest.raises(UsageError, match="重新開始"):
        analysis_from_spec(spec)
