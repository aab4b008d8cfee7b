import pytest
from pydantic import BaseModel, Field

from kat_data.llm.structure import read_structure, schema_of


class Vote(BaseModel):
    mode: str
    score: int = Field(ge=1, le=10)


GOOD = '{"mode": "think_on", "score": 7}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here is my vote: {GOOD} I hope it helps {{smiling}}.",
        f"The set {{1, 2}} is small. {GOOD}",
        '{"mode": "think_on", "score": "7"}',
        '{"vote": ' + GOOD + "}",
        '{"mode": "think_on", "score": 7, "extra": "a\nb"}',
    ],
)
def test_the_object_is_found_in_whatever_surrounds_it(text):
    assert read_structure(Vote, text) == Vote(mode="think_on", score=7)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I think on.", "no JSON object"),
        ("", "no JSON object"),
        ('{"mode": "think_on", "sco', "cannot be read"),
        ('{"mode": "think_on", "score": 11}', "score: Input should be less than or equal to 10"),
        ('{"score": 5}', "mode: Field required"),
        ("{" * 100_000, "cannot be read"),
        ('{"a":' * 100_000, "cannot be read"),
    ],
)
def test_a_problem_is_told_in_one_line(text, problem):
    with pytest.raises(ValueError, match=problem) as error:
        read_structure(Vote, text)
    assert "\n" not in str(error.value)


def test_the_schema_is_computed_once():
    assert schema_of(Vote) is schema_of(Vote)
    assert schema_of(Vote)["required"] == ["mode", "score"]
