"""SchemaModel: answers that do not obey are errors."""

from __future__ import annotations

import pytest

from core.errors import ErrorKind, ModelError
from core.ports import Prompt
from core.scope import Scope
from optimizers.analyses import analysis_named
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
