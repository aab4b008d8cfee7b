import pytest
from pydantic import ValidationError

from kat_data.domain.category import Category
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.held import Held
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.domain.tag import TagSummary
from kat_data.stages.select import Select
from kat_data.testing import a_draft, a_query


def select(**options: object) -> Select:
    return Select.model_validate(options)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "give the mixture"),
        ({"shares": {"any": 1.0}}, "shares need `samples`"),
        ({"samples": 10, "counts": {"any": 10}}, "`samples` goes with `shares`"),
        ({"samples": 10, "shares": {"any": 0.9}}, "add up to 0.9"),
        ({"counts": {"any": 3}, "responses": {"any": 0}}, "one response at least"),
        ({"samples": 10, "shares": {"mode=on": 1.5, "mode=off": -0.5}}, "not negative"),
        ({"counts": {"category=maths": 3}}, "there is no category `maths`"),
    ],
)
def test_what_is_no_mixture_says_why(options: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        select(**options)


@pytest.mark.parametrize("samples", [1, 2, 7, 100, 101, 3_500_000])
def test_quotas_add_up_and_lie_next_to_the_shares(samples: int) -> None:
    shares = {"category=math": 1 / 3, "category=code": 1 / 3, "category=science": 1 / 3 - 0.01, "any": 0.01}
    quotas = select(samples=samples, shares=shares).mixture.targets
    assert sum(quotas.values()) == samples
    assert all(abs(quotas[name] - share * samples) < 1 for name, share in shares.items())


def test_the_same_mixture_has_one_spelling() -> None:
    one = select(counts={"mode=on category=math": 3}, responses={"difficulty=8..10 category=math": 2})
    assert one == select(counts={"category=math mode=think_on": 3}, responses={"category=math difficulty=8..10": 2})


@pytest.mark.parametrize(
    ("difficulty", "mode", "found"),
    [
        (9.0, Mode.ON, Held(pool="mode=think_on difficulty=7..10", responses=4)),
        (7.0, Mode.ON, Held(pool="mode=think_on difficulty=7..10", responses=1)),
        (9.0, Mode.OFF, Held(pool="category=math", responses=4)),
        (1.0, Mode.ON, Held(pool="category=math", responses=1)),
    ],
)
async def test_a_query_waits_in_its_first_stratum(difficulty: float, mode: Mode, found: Held, tools) -> None:
    stage = select(counts={"mode=on difficulty=7..10": 5, "category=math": 5}, responses={"difficulty=8..10": 4})
    draft = a_draft(
        a_query("What is 1 + 1?"),
        summary=TagSummary(difficulty=difficulty, spread=0, domain="arithmetic", verifiable=True),
        choice=ModeChoice(mode=mode, origin=ModeOrigin.MAJORITY, margin=1.0),
    )
    assert await stage.run(draft, tools()) == found


@pytest.mark.parametrize(
    ("turns", "observed", "held"),
    [
        (("Hi",), False, False),
        (("Hi", "Hello", "What is 1 + 1?"), False, True),
        (("Hi",), True, True),
    ],
)
async def test_a_query_waits_for_transitions_only_where_it_can_have_several_turns(
    turns: tuple[str, ...], observed: bool, held: bool, tools
) -> None:
    stage = select(counts={"category=math switches=yes": 5, "category=math switches=no": 5})
    equipment = ({"type": "function", "function": {"name": "add"}},) if observed else ()
    choice = ModeChoice(mode=Mode.ON, origin=ModeOrigin.MAJORITY, margin=1.0)
    draft = a_draft(a_query(*turns), choice=choice, observed=observed, equipment=equipment)
    found = await stage.run(draft, tools())
    assert (found == Held(pool="category=math")) if held else isinstance(found, Dropped)
    assert "switches" not in stage.dimensions


async def test_a_query_of_no_stratum_leaves_and_says_what_it_is(tools) -> None:
    draft = a_draft(a_query("Hello", category=Category.GENERAL))
    dropped = await select(counts={"category=math": 5}).run(draft, tools())
    assert isinstance(dropped, Dropped)
    assert (dropped.reason, dropped.detail) == (DropReason.OUTSIDE_MIXTURE, "category=general")
