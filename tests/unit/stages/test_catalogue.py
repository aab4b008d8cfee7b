import pytest
from pydantic import ValidationError

from kat_data.domain.query import VerifierKind
from kat_data.llm.prompts.prompt import load_prompt, prompt_names
from kat_data.stages.catalogue import STAGES
from kat_data.stages.select import Select


def test_stages_stand_in_the_order_of_the_pipeline():
    assert list(STAGES) == [
        "normalise",
        "deduplicate",
        "decontaminate",
        "cluster",
        "tag",
        "soft_label",
        "add_intent",
        "vote_mode",
        "route_mode",
        "measure_mode",
        "select",
        "develop",
        "sample_off",
        "reason_on",
        "sample_on",
        "verify",
        "prefer",
        "judge_mode",
        "observe",
        "pass_rate",
        "pair",
    ]
    once = [name for name, stage in STAGES.items() if not stage.per_turn]
    assert once == [
        "normalise", "deduplicate", "decontaminate", "cluster", "tag", "soft_label", "add_intent", "select",
        "pass_rate", "pair",
    ]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_every_option_explains_itself_in_the_schema(stage):
    properties = stage.model_json_schema()["properties"]
    assert all("description" in option for name, option in properties.items() if name != "only")


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_an_unknown_option_is_refused(stage):
    with pytest.raises(ValidationError, match="no_such_option"):
        stage.model_validate({"no_such_option": 1} | ({"counts": {"any": 1}} if stage is Select else {}))


def test_stages_declare_exactly_the_prompts_that_ship():
    declared = {name for stage in STAGES.values() for name in stage.prompts}
    assert declared == set(prompt_names())
    assert all(load_prompt(name).sha256 for name in declared)


def test_stages_that_judge_declare_by_which_verifiers():
    declared = {name: stage.verifiers for name, stage in STAGES.items() if stage.verifiers}
    assert {name for name, kinds in declared.items() if kinds == (VerifierKind.CODE,)} == {
        "normalise", "develop", "observe",
    }  # fmt: skip
    assert {name for name, kinds in declared.items() if kinds == tuple(VerifierKind)} == {
        "measure_mode", "sample_off", "sample_on", "reason_on", "verify", "pass_rate",
    }  # fmt: skip
    assert declared["soft_label"] == (VerifierKind.MATH, VerifierKind.CHOICE)
    assert len(declared) == 10
