"""The labelling server, and what packing makes of it: over the real SDK, through the runner, into the journal."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from core.bulk import BatchSpec, BulkEnd, TextItem
from core.parallel_executor import ParallelExecutor
from core.ports import ChatModel, Prompt
from core.scope import Scope
from core.settings import Secret, Settings
from optimizers.analyses import ANALYSES
from optimizers.assembly import build_model
from optimizers.bulk_runner import BulkRunner
from optimizers.journal import Journal
from optimizers.measured_model import MeasuredModel
from optimizers.pack_size import PackSize
from optimizers.packing import pack_prompt, unpack
from optimizers.retry import RetryingModel, RetryPolicy
from optimizers.schema_model import SchemaModel
from tests.fakes import FunctionModel
from tests.servers import LoopbackGemini
from tests.servers.labels import FAULTS, LABELS, Labeller, label_of
from tests.servers.records import SeenRequest
from tests.servers.replies import Body

SENTIMENT = ANALYSES["sentiment"]
TEXTS = tuple(f"第 {number} 則: 這家店的服務" for number in range(300))


def said(labeller: Labeller, prompt: Prompt) -> str:
    """The text of the labeller's answer."""
    reply = labeller(SeenRequest("generate", "grpc", "m", text=prompt.text))
    assert isinstance(reply, Body)
    text: str = reply.data["candidates"][0]["content"]["parts"][0]["text"]
    return text


def in_process(labeller: Labeller) -> ChatModel:
    """The labeller without a server, under the same checks and retries as a real model."""
    lock = threading.Lock()  # guards the labeller's counts; held by the worker that asks it

    def asked(prompt: Prompt, scope: Scope) -> str:
        with lock:
            return said(labeller, prompt)

    checked = SchemaModel(MeasuredModel(FunctionModel(asked, identity="labels")))
    return RetryingModel(checked, policy=RetryPolicy(base_seconds=0.001, cap_seconds=0.001))


def run(
    model: ChatModel, texts: tuple[str, ...], folder: Path, size: PackSize | None = None
) -> tuple[BulkEnd, Mapping[str, Any]]:
    """Analyse the texts in one session; how it ended, and the label of each that has one."""
    items = [TextItem(number, text, number) for number, text in enumerate(texts, 1)]
    spec = BatchSpec("texts", "lines", SENTIMENT.spec, "labels")
    with Journal(folder, spec) as journal, ParallelExecutor(8) as executor:
        runner = BulkRunner(model=model, executor=executor, journal=journal, analysis=SENTIMENT, pack_size=size)
        end = runner.run(items, scope=Scope())
        found = {item.text: journal.get(item.key) for item in items}
    return end, {text: json.loads(each.values)["result"] for text, each in found.items() if each and each.answered}


@pytest.mark.parametrize("faulty", [0.0, 0.5])
def test_packed_labels_are_those_of_singles_over_the_real_sdk(faulty: float, tmp_path: Path) -> None:
    """Three hundred texts over gRPC: the same labels packed as alone, in few requests, faults or none."""
    labeller = Labeller()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(LoopbackGemini(script=labeller))
        settings = Settings(api_key=Secret("test-key"), endpoint=server.grpc_endpoint)
        model = stack.enter_context(contextlib.closing(build_model(settings))).model
        _, alone = run(model, TEXTS, tmp_path / "alone", PackSize(fixed=1))
        assert labeller.requests == 300
        spoiling = Labeller(faulty=faulty, faults=[fault for fault in FAULTS if fault != "cut"])
        server.set_script(spoiling)
        end, packed = run(model, TEXTS, tmp_path / "packed")
        schemas = [seen.config["responseSchema"] for seen in server.requests if '"texts"' in seen.text]
    assert packed == alone == {text: label_of(text) for text in TEXTS}
    assert end.complete
    assert schemas
    assert all(each["properties"]["results"]["items"]["properties"]["result"]["enum"] == [*LABELS] for each in schemas)
    assert spoiling.requests <= (12 if not faulty else 60)


@pytest.mark.parametrize("seed", range(2))
def test_a_tenth_of_spoiled_answers_costs_a_quarter_at_most(seed: int, tmp_path: Path) -> None:
    """Four thousand texts: few requests, every label right, and not many more requests for a model that spoils some."""
    texts = tuple(f"{seed} 第 {number} 則" for number in range(4_000))
    clean, spoiled = Labeller(), Labeller(faulty=0.1, seed=seed)
    end, labels = run(in_process(clean), texts, tmp_path / "clean")
    assert end.complete
    assert clean.requests == end.progress.requests <= 200
    assert labels == {text: label_of(text) for text in texts}
    end, labels = run(in_process(spoiled), texts, tmp_path / "spoiled")
    assert sum(spoiled.spoiled.values()) > 5
    assert labels == {text: label_of(text) for text in texts}
    assert spoiled.requests <= 1.25 * clean.requests


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone_costs_no_label(fault: str, tmp_path: Path) -> None:
    """A model that makes the same mistake in every packed answer: all labels right, if with more requests."""
    labeller = Labeller(faulty=1.0, faults=(fault,))
    end, labels = run(in_process(labeller), TEXTS[:60], tmp_path)
    assert end.complete
    assert labels == {text: label_of(text) for text in TEXTS[:60]}
    assert set(labeller.spoiled) == {fault}
    assert labeller.requests <= 400


def test_faults_do_not_depend_on_the_order_of_requests() -> None:
    """The same requests are spoiled the same way, whichever thread came first; asked again they may go well."""
    prompts = [pack_prompt(SENTIMENT, TEXTS[start : start + 10]).prompt for start in range(0, 300, 10)]
    forward, backward = Labeller(faulty=0.5, seed=7), Labeller(faulty=0.5, seed=7)
    first = {prompt: said(forward, prompt) for prompt in prompts}
    assert first == {prompt: said(backward, prompt) for prompt in reversed(prompts)}
    assert first != {prompt: said(forward, prompt) for prompt in prompts}


@pytest.mark.parametrize(
    ("fault", "valid", "foreign", "disordered"),
    [("drop", 9, 0, False), ("double", 10, 0, None), ("contradict", 9, 0, None), ("invent", 10, 1, False),
     ("reorder", 10, 0, True), ("bad label", 9, 0, False)],
)  # fmt: skip
def test_faults_are_what_they_are_called(fault: str, valid: int, foreign: int, disordered: bool | None) -> None:
    """Each does what its name says, as the unpacker sees it."""
    pack = pack_prompt(SENTIMENT, TEXTS[:10])
    found = unpack(pack, said(Labeller(faulty=1.0, faults=(fault,)), pack.prompt))
    assert (len(found.values), found.foreign) == (valid, foreign)
    assert disordered is None or found.disordered == disordered
    assert all(found.values[place]["result"] == label_of(TEXTS[place]) for place in found.values)


def test_a_single_text_is_never_spoiled() -> None:
    """Alone there is nothing to mix up."""
    labeller = Labeller(faulty=1.0)
    assert json.loads(said(labeller, SENTIMENT.prompt("好吃"))) == {"result": label_of("好吃")}
    assert not labeller.spoiled
