"""SchemaModel: answers that do not obey are errors."""

from __future__ import annotations

import pytest

from core.errors import ErrorKind, ModelError
from core.ports import Prompt
from core.scope import Scope
from optimizers.analyses import analysis_named
from optimizers.own_analyses import closed_category
from optimizers.packing import pack_prompt
from optimizers.schema_model import SchemaModel
from tests.fakes import FunctionModel

SENTIMENT = analysis_named("sentiment").prompt("好吃")
SUMMARY = analysis_named("summary").prompt("好吃")


def _answering(text: str) -> SchemaModel:
    return SchemaModel(FunctionModel(lambda prompt, scope: text, identity="m"))


@pytest.mark.parametrize(("prompt", "text"), [(SENTIMENT, '{"result": "正面"}'), (SUMMARY, '{"result": "隨便一句"}')])
def test_an_answer_that_obeys_passes_unchanged(prompt: Prompt, text: str) -> None:
    """A valid answer comes through as it is."""
    assert _answering(text).generate(prompt, Scope()).text == text


def test_a_prompt_without_a_schema_is_not_checked() -> None:
    """Free answers are not touched."""
    assert _answering("不是 JSON").generate(Prompt("?"), Scope()).text == "不是 JSON"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("正面", "不是 JSON"),
        ("[]", "不是 JSON 物件"),
        ("{}", "缺少文字欄位 result"),
        ('{"result": 3}', "缺少文字欄位 result"),
        ('{"result": "  "}', "缺少文字欄位 result"),
        ('{"result": "非常正面"}', "不在 正面、中性、負面 之中"),
        ('{"result": "%s"}' % ("正面" * 100), "不在"),
    ],
)
def test_anything_else_is_an_error_of_that_item(text: str, fault: str) -> None:
    """A label outside the set, or another shape, is bad_label and never a guess; little of it is shown."""
    with pytest.raises(ModelError) as caught:
        _answering(text).generate(SENTIMENT, Scope())
    assert caught.value.kind is ErrorKind.BAD_LABEL
    assert fault in caught.value.detail
    assert len(caught.value.detail) < 80


def test_the_identity_is_the_models() -> None:
    """The check does not change which model it is."""
    assert _answering("").identity == "m"


PACKED = pack_prompt(analysis_named("sentiment"), ["好吃", "難吃"]).prompt


@pytest.mark.parametrize(
    "text",
    ['{"results": []}', '{"results": [{"id": "x"}, 7, null, {"result": "非常正面"}]}', '{"results": [[[]]], "n": NaN}'],
)
def test_of_a_list_only_that_it_is_one_is_checked(text: str) -> None:
    """What is wrong with one entry must not cost the others, so the entries are left to who asked for them."""
    assert _answering(text).generate(PACKED, Scope()).text == text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"results": [{"id": "', "不是 JSON"),
        ('{"results": {}}', "缺少清單欄位 results"),
        ('{"results": "[]"}', "缺少清單欄位 results"),
        ('{"result": "正面"}', "缺少清單欄位 results"),
        ('{"results": [], "results": [1]}', "缺少清單欄位 results"),
        ("[" * 100_000, "不是 JSON"),
    ],
)
def test_a_pack_s_answer_without_a_list_is_an_error(text: str, fault: str) -> None:
    """Cut off, of another shape, contradictory, or nested without end: nothing in it can be judged."""
    with pytest.raises(ModelError) as caught:
        _answering(text).generate(PACKED, Scope())
    assert (caught.value.kind, caught.value.detail) == (ErrorKind.BAD_LABEL, fault)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"result": "正面", "result": "負面"}', False),
        ('{"result": "正面", "result": "正面"}', True),
        ('{"result": "正面", "other": 1, "other": 2}', True),
    ],
)
def test_a_name_with_two_values_has_none(text: str, right: bool) -> None:
    """Two different values under one name contradict each other, and the last is not more right than the first."""
    model = _answering(text)
    if right:
        assert model.generate(SENTIMENT, Scope()).text == text
    else:
        with pytest.raises(ModelError, match="缺少文字欄位 result"):
            model.generate(SENTIMENT, Scope())


def test_of_many_labels_few_are_shown() -> None:
    """A reason is kept for every text, so it does not list two hundred labels."""
    prompt = closed_category([f"標籤{number}" for number in range(200)]).prompt("x")
    with pytest.raises(ModelError) as caught:
        _answering('{"result": "別的"}').generate(prompt, Scope())
    assert "標籤9 等 200 個 之中" in caught.value.detail
    assert len(caught.value.detail) < 100


@pytest.mark.parametrize(
    ("schema", "text", "fault"),
    [
        ('{"type": "object"}', "{}", ""),
        ('{"properties": {"n": {"type": "integer", "enum": [1, 2]}}, "required": ["n"]}', '{"n": 3}', "'3' 不在 1、2"),
        ('{"properties": {"o": {"type": "object"}}, "required": ["o"]}', '{"o": {}}', ""),
        ('{"properties": {"o": {"type": "object"}}, "required": ["o"]}', '{"o": []}', "缺少物件欄位 o"),
    ],
)
def test_other_schemas_are_understood(schema: str, text: str, fault: str) -> None:
    """A schema without required fields asks for an object only; enums of numbers and inner objects are checked."""
    model = _answering(text)
    if fault:
        with pytest.raises(ModelError) as caught:
            model.generate(Prompt("?", schema=schema), Scope())
        assert caught.value.detail.startswith(fault)
    else:
        assert model.generate(Prompt("?", schema=schema), Scope()).text == text
