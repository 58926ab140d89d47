"""Several texts in one request, and their results told apart again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.bulk import TextItem
from core.errors import ErrorKind, ModelError
from optimizers.analyses import ANALYSES, Analysis, Field
from optimizers.estimate import estimate_tokens
from optimizers.own_analyses import closed_category, custom_analysis, parse_fields
from optimizers.pack_size import PackSize
from optimizers.packing import Pack, Packer, Unpacked, pack_prompt, unpack

SENTIMENT = ANALYSES["sentiment"]
TEXTS = ("好吃", "難吃", "普通", "還會再來")
PACK = pack_prompt(SENTIMENT, TEXTS)
RIGHT = ({"result": "正面"}, {"result": "負面"}, {"result": "中性"}, {"result": "正面"})


def entries(pack: Pack = PACK) -> list[dict[str, Any]]:
    """The results of a model that does everything right."""
    return [{"id": name, **values} for name, values in zip(pack.ids, RIGHT, strict=True)]


def unpacked(results: object, pack: Pack = PACK) -> Unpacked:
    return unpack(pack, json.dumps({"results": results}, ensure_ascii=False))


def all_but(*places: int) -> dict[int, dict[str, Any]]:
    return {place: values for place, values in enumerate(RIGHT) if place not in places}


class TestPrompt:
    def test_texts_are_data_under_their_ids(self) -> None:
        """The texts stand in the data in their order, and nowhere in the instruction."""
        assert json.loads(PACK.prompt.text) == {
            "texts": [{"id": name, "text": text} for name, text in zip(PACK.ids, TEXTS, strict=True)]
        }
        assert SENTIMENT.instruction in PACK.prompt.system_instruction
        assert not any(text in PACK.prompt.system_instruction for text in (*TEXTS, *PACK.ids))

    @pytest.mark.parametrize(
        "analysis", [SENTIMENT, closed_category(["甲", "乙"]), custom_analysis("看", parse_fields("a:number, b:好|壞"))]
    )
    def test_the_schema_is_a_list_of_ids_and_fields(self, analysis: Analysis) -> None:
        """Each entry must have an id and all fields, with their types and labels."""
        entry = json.loads(pack_prompt(analysis, TEXTS).prompt.schema)["properties"]["results"]["items"]
        assert entry["properties"] == {"id": {"type": "string"}, **analysis.answer_schema["properties"]}
        assert entry["required"] == ["id", *(field.name for field in analysis.fields)]

    def test_a_pack_of_one_is_the_plain_question(self) -> None:
        """A text that goes alone in the end is asked exactly as without packing, so it gets the same answer."""
        pack = pack_prompt(SENTIMENT, ["好吃"])
        assert (pack.prompt, pack.ids) == (SENTIMENT.prompt("好吃"), ())

    def test_the_same_pack_has_the_same_ids(self) -> None:
        """A repeated request is the same request, to caches as well."""
        assert pack_prompt(SENTIMENT, list(TEXTS)) == PACK

    @pytest.mark.parametrize("other", [TEXTS[:3], TEXTS[::-1], (*TEXTS[:3], "x")])
    def test_another_pack_shares_no_id(self, other: tuple[str, ...]) -> None:
        """An id depends on all texts of the pack and on their order: knowing one's own text is not enough."""
        assert not set(pack_prompt(SENTIMENT, other).ids) & set(PACK.ids)

    @given(st.lists(st.text(st.characters(), max_size=20), min_size=2, max_size=60))
    def test_ids_are_distinct_whatever_the_texts(self, texts: list[str]) -> None:
        """Twins, empty texts and halves of surrogate pairs have ids of their own that no text contains."""
        ids = pack_prompt(SENTIMENT, texts).ids
        assert len(set(ids)) == len(texts)
        assert all(name[0] == "t" and len(name) == 8 and not any(name in text for text in texts) for name in ids)

    def test_where_texts_end_matters(self) -> None:
        """Texts that read alike when strung together are different packs."""
        one, other = pack_prompt(SENTIMENT, ["ab", "c", "x"]).ids, pack_prompt(SENTIMENT, ["a", "bc", "x"]).ids
        assert not set(one) & set(other)

    def test_ids_that_collide_are_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where two digests are equal, the later text gets the next one."""
        monkeypatch.setattr("optimizers.packing._id", lambda text, key, salt: f"{salt:08x}")
        assert pack_prompt(SENTIMENT, ["a", "b", "c"]).ids == ("00000000", "00000001", "00000002")


class TestUnpack:
    def test_results_belong_to_their_ids(self) -> None:
        """In the order of the texts nothing is noted."""
        assert unpacked(entries()) == Unpacked(all_but())

    def test_order_means_nothing(self) -> None:
        """Results in another order are found by id, and that the order was another is told."""
        assert unpacked(entries()[::-1]) == Unpacked(all_but(), disordered=True)

    def test_a_missing_one_is_a_fault_of_its_own(self) -> None:
        """The others are not moved up."""
        found = unpacked(entries()[1:])
        assert found.values == all_but(0)
        assert list(found.faults) == [0]
        assert not found.disordered

    def test_equal_doubles_are_one_result(self) -> None:
        """A result said twice is said."""
        assert unpacked([*entries(), entries()[1]]).values == all_but()

    def test_different_doubles_are_none(self) -> None:
        """Of two results neither is taken, a third changes nothing, and the neighbours keep theirs."""
        other = {"id": PACK.ids[1], "result": "正面"}
        for results in ([*entries(), other], [other, *entries()], [*entries(), other, other, entries()[1]]):
            found = unpacked(results)
            assert found.values == all_but(1)
            assert found.faults == {1: "回答裡有兩個不同的結果"}

    @pytest.mark.parametrize("bad", [{"result": "非常正面"}, {"result": 3}, {}, {"result": None}])
    def test_an_invalid_one_is_a_fault_of_its_own(self, bad: dict[str, Any]) -> None:
        """A label outside the set costs its own text only, also where a valid one stands beside it."""
        invalid = {"id": PACK.ids[2], **bad}
        for results in ([*entries()[:2], invalid, entries()[3]], [invalid, *entries()], [*entries(), invalid]):
            found = unpacked(results)
            assert found.values == all_but(2)
            assert list(found.faults) == [2]

    @pytest.mark.parametrize(
        "foreign",
        [
            {"id": "00000000", "result": "正面"},
            {"id": "1", "result": "正面"},
            {"id": f" {PACK.ids[0]}", "result": "負面"},
            {"id": PACK.ids[0].upper(), "result": "負面"},
            {"id": ["x"], "result": "正面"},
            {"result": "正面"},
            {"id": 3},
            {"id": None},
            "正面", 7, None, [], {},
        ],
    )  # fmt: skip
    def test_what_belongs_to_nobody_is_counted_and_ignored(self, foreign: object) -> None:
        """Results under ids that nobody gave out, without an id, or that are no results at all."""
        assert unpacked([foreign, *entries(), foreign]) == Unpacked(all_but(), foreign=2)

    def test_fields_nobody_asked_for_are_dropped(self) -> None:
        """The id and whatever else the model adds are no values."""
        assert unpacked([{**each, "why": "x"} for each in entries()]) == Unpacked(all_but())

    @pytest.mark.parametrize(
        ("answer", "fault"),
        [
            ("", "不是 JSON"),
            ('{"results": [{"id": "x", "res', "不是 JSON"),
            ("[]", "不是 JSON 物件"),
            ("{}", "缺少清單欄位 results"),
            ('{"results": {"a": 1}}', "缺少清單欄位 results"),
        ],
    )
    def test_an_answer_without_results_is_an_error_of_the_pack(self, answer: str, fault: str) -> None:
        """Cut off or of another shape: nothing of it is taken."""
        with pytest.raises(ModelError) as caught:
            unpack(PACK, answer)
        assert (caught.value.kind, caught.value.detail) == (ErrorKind.BAD_LABEL, fault)

    @pytest.mark.parametrize(
        ("answer", "values", "faults"),
        [
            ('{"result": "正面"}', {0: {"result": "正面"}}, {}),
            ('{"result": "好"}', {}, {0: "'好' 不在 正面、中性、負面 之中"}),
            ('{"res', {}, {0: "不是 JSON"}),
        ],
    )
    def test_a_text_alone_has_its_values_or_its_fault(
        self, answer: str, values: dict[int, Any], faults: dict[int, str]
    ) -> None:
        """Alone there is no id, and nobody else to blame."""
        assert unpack(pack_prompt(SENTIMENT, ["好吃"]), answer) == Unpacked(values, faults)

    @given(st.data())
    def test_nothing_is_ever_guessed(self, data: st.DataObject) -> None:
        """Whatever the results: each text has a value or a fault, a value only if it is what all its entries say."""
        ids = st.sampled_from([*PACK.ids, "00000000", "", 0])
        labels = st.sampled_from([*SENTIMENT.labels, "別的", None])
        results = data.draw(st.lists(st.builds(lambda name, label: {"id": name, "result": label}, ids, labels)))
        found = unpacked(results)
        assert found.values.keys() | found.faults.keys() == set(range(4))
        assert not found.values.keys() & found.faults.keys()
        for place, name in enumerate(PACK.ids):
            said = [each["result"] for each in results if each["id"] == name]
            right = len(set(said)) == 1 and said[0] in SENTIMENT.labels
            assert found.values.get(place) == ({"result": said[0]} if right else None)
        assert found.foreign == sum(each["id"] not in PACK.ids for each in results)


def items(*texts: str) -> Iterator[TextItem]:
    return (TextItem(number, text, number) for number, text in enumerate(texts, 1))


def sizes(packer: Packer) -> list[int]:
    return [len(pack) for pack in iter(packer.next_pack, ())]


class TestPacker:
    def test_packs_are_of_the_size(self) -> None:
        """All texts, once, in order; the last pack holds what is left."""
        packer = Packer(items(*map(str, range(25))), PackSize(fixed=10))
        packs = list(iter(packer.next_pack, ()))
        assert [len(pack) for pack in packs] == [10, 10, 5]
        assert [item.text for pack in packs for item in pack] == [str(number) for number in range(25)]
        assert packer.next_pack() == ()

    def test_the_size_is_asked_for_each_pack(self) -> None:
        """What the size has learnt holds from the next pack on."""
        size = PackSize(start=4)
        packer = Packer(items(*"abcdefgh"), size)
        first = len(packer.next_pack())
        size.unusable(4)
        assert [first, *sizes(packer)] == [4, 2, 2]

    def test_nothing_is_read_ahead(self) -> None:
        """A pack costs as many texts of the input as are in it."""
        source = items(*"abcdefgh")
        Packer(source, PackSize(fixed=3)).next_pack()
        assert next(source).text == "d"

    def test_tokens_end_a_pack(self) -> None:
        """A pack is closed before the text that would be too much, which opens the next one."""
        assert sizes(Packer(items(*["x" * 40] * 5), PackSize(), most_tokens=20)) == [2, 2, 1]

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_text_above_the_budget_goes_alone(self, place: int) -> None:
        """Neither with those before it nor with those after it."""
        texts = ["a", "b"]
        texts.insert(place, "x" * 400)
        packer = Packer(items(*texts), PackSize(), most_tokens=20)
        packs = ["".join(item.text[0] for item in pack) for pack in iter(packer.next_pack, ())]
        assert "x" in packs
        assert "".join(packs) == "".join(text[0] for text in texts)

    def test_labels_leave_room_for_full_packs(self) -> None:
        """Fifty short texts fit with any of the built-in analyses."""
        for analysis in ANALYSES.values():
            assert sizes(Packer(items(*["這家店的服務不錯"] * 50), PackSize(fixed=50), analysis=analysis)) == [50]

    def test_long_answers_end_a_pack(self) -> None:
        """Twenty fields of text a text would be cut off at the output limit long before fifty texts."""
        fields = [Field(f"欄位{number}") for number in range(20)]
        packer = Packer(items(*["短"] * 50), PackSize(fixed=50), analysis=custom_analysis("看", fields))
        assert max(sizes(packer)) == 4

    def test_a_free_answer_may_be_as_long_as_its_text(self) -> None:
        """A translation of ten texts of 1,000 tokens does not fit where ten labels would."""
        texts = ["word" * 1000] * 10
        translation = custom_analysis("翻譯成中文")
        assert sizes(Packer(items(*texts), PackSize(), analysis=translation)) == [5, 5]
        assert sizes(Packer(items(*texts), PackSize(), analysis=SENTIMENT)) == [10]

    def test_every_kind_of_field_takes_its_room(self) -> None:
        """The longest label counts, and numbers take less than sentences."""
        def most(fields: str) -> int:
            analysis = custom_analysis("看", parse_fields(fields))
            packer = Packer(items(*["短"] * 900), PackSize(fixed=900), analysis=analysis)
            return sizes(packer)[0]

        assert most("a") < most("a:number") < most("a:好|壞")
        assert most("a:好|壞") > most("a:好|" + "很長的標籤" * 10)

    @given(st.lists(st.text(max_size=60), max_size=40), st.integers(1, 12), st.integers(1, 60))
    def test_no_text_is_lost_and_no_budget_broken(self, texts: list[str], size: int, tokens: int) -> None:
        """Whatever the texts and the bounds, all come out once in order, and more than one only within the bounds."""
        packs = list(iter(Packer(items(*texts), PackSize(fixed=size), most_tokens=tokens).next_pack, ()))
        assert [item.text for pack in packs for item in pack] == texts
        for pack in packs:
            assert len(pack) <= size
            assert len(pack) == 1 or sum(estimate_tokens(item.text) for item in pack) <= tokens
