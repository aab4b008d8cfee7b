import pytest
from pydantic import ValidationError

from kat_data.llm.prompts.prompt import load_prompt, prompt_names
from kat_data.stages.catalogue import STAGES


def test_stages_stand_in_the_order_of_the_pipeline():
    assert list(STAGES) == [
        "normalise",
        "decontaminate",
        "tag",
        "vote_mode",
        "route_mode",
        "develop",
        "sample_off",
        "reason_on",
        "sample_on",
        "verify",
        "judge_mode",
        "observe",
    ]
    assert [stage.per_turn for stage in STAGES.values()] == [False, False, False, *[True] * 9]


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_every_option_explains_itself_in_the_schema(stage):
    properties = stage.model_json_schema()["properties"]
    assert all("description" in option for name, option in properties.items() if name != "only")


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_an_unknown_option_is_refused(stage):
    with pytest.raises(ValidationError, match="no_such_option"):
        stage.model_validate({"no_such_option": 1})


def test_stages_declare_exactly_the_prompts_that_ship():
    declared = {name for stage in STAGES.values() for name in stage.prompts}
    assert declared == set(prompt_names())
    assert all(load_prompt(name).sha256 for name in declared)
