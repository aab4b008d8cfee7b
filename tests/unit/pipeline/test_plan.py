"""Which stage comes next, for drafts of one turn and of many."""

from dataclasses import replace

import pytest

from kat_data.domain.category import Category
from kat_data.domain.drop import Dropped, DropReason
from kat_data.domain.mode import Mode, ModeChoice, ModeOrigin
from kat_data.domain.query import Message, Role
from kat_data.domain.tool_call import ToolCall
from kat_data.pipeline.plan import Plan
from kat_data.stages.judge_mode import JudgeMode
from kat_data.stages.normalise import Normalise
from kat_data.stages.observe import Observe
from kat_data.stages.route_mode import RouteMode
from kat_data.stages.sample_off import SampleOff
from kat_data.stages.sample_on import SampleOn
from kat_data.stages.tag import TagQuery
from kat_data.stages.verify import VerifyGate
from kat_data.stages.vote_mode import VoteMode
from kat_data.testing import a_candidate, a_draft, a_query, a_verdict

PLAN = Plan(
    [
        Normalise(),
        TagQuery(),
        VoteMode(only=(Category.MATH,)),
        RouteMode(only=(Category.CODE,)),
        SampleOff(),
        SampleOn(),
        VerifyGate(),
        JudgeMode(),
    ]
)


def chosen(mode: Mode, **fields):
    return a_draft(choice=ModeChoice(mode=mode, origin=ModeOrigin.MAJORITY), **fields)


def name(stage) -> str | None:
    return stage and stage.name


def test_every_item_starts_at_the_first_stage_and_every_turn_at_the_first_per_turn() -> None:
    assert (PLAN.first, PLAN.turn_start) == ("normalise", "vote_mode")
    assert Plan([VoteMode(), VerifyGate()]).turn_start == "vote_mode"


@pytest.mark.parametrize(
    ("after", "draft", "expected"),
    [
        ("normalise", a_draft(), "tag"),
        ("tag", a_draft(), "vote_mode"),
        ("tag", a_draft(a_query(category=Category.CODE)), "route_mode"),
        ("vote_mode", chosen(Mode.OFF), "sample_off"),
        ("vote_mode", chosen(Mode.ON), "sample_on"),
        ("sample_off", chosen(Mode.OFF, candidates=(a_candidate(),)), "verify"),
        ("verify", chosen(Mode.OFF, candidates=(a_candidate(),), accepted=0), "judge_mode"),
        ("judge_mode", chosen(Mode.OFF, candidates=(a_candidate(),), accepted=0, judge_analysis="So."), None),
        ("verify", chosen(Mode.OFF, candidates=(a_candidate(),)), None),
    ],
)
def test_the_next_stage_is_the_next_that_applies(after, draft, expected) -> None:
    assert name(PLAN.after(after, draft)) == expected


def test_an_item_goes_on_at_its_stage_or_at_the_next_that_applies() -> None:
    assert name(PLAN.at("normalise", a_draft())) == "normalise"
    assert name(PLAN.at("vote_mode", chosen(Mode.ON))) == "sample_on"
    done = chosen(Mode.OFF, candidates=(a_candidate(),), accepted=0, judge_analysis="So.")
    assert PLAN.at("vote_mode", done) is None


def test_a_further_turn_runs_through_the_stages_of_turns_again() -> None:
    query = a_query("One?", "1", "Two?")
    first = chosen(Mode.OFF, candidates=(a_candidate("1", verdicts=(a_verdict(),)),), accepted=0, judge_analysis="So.")
    second = replace(first, query=query).finish_turn()
    assert name(PLAN.at(PLAN.turn_start, second)) == "vote_mode"


def test_a_recorded_conversation_is_refused_where_no_stage_observes_it() -> None:
    call = ToolCall(name="f", arguments={})
    said = [Message(role=Role.USER, content="?"), Message(role=Role.ASSISTANT, content="", tool_calls=(call,))]
    query = replace(a_query(), messages=(*said, Message(role=Role.TOOL, content="!")), tools=({"name": "f"},))
    assert PLAN.refuse(a_draft()) is None
    assert PLAN.refuse(a_draft(query)) == Dropped(reason=DropReason.UNSUPPORTED_HISTORY)
    assert Plan([*PLAN.stages, Observe()]).refuse(a_draft(query)) is None
    assert Plan([*PLAN.stages, Observe(only=(Category.CODE,))]).refuse(a_draft(query)) is not None
    without_tools = Plan([*PLAN.stages, Observe()]).refuse(a_draft(replace(query, tools=())))
    assert without_tools is not None
    assert without_tools.reason is DropReason.HISTORY_WITHOUT_TOOLS
