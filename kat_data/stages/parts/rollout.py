"""One rollout of a policy: the last turn asked for as training will, the reply read by the training template."""

import re
from dataclasses import replace

from kat_data.domain.candidate import Candidate
from kat_data.domain.draft import Draft
from kat_data.domain.mode import Mode
from kat_data.domain.pass_rate import Rollout, RolloutMode
from kat_data.domain.query import Message, Role
from kat_data.domain.sample import Turn
from kat_data.domain.template import add_trigger
from kat_data.domain.text import normalise
from kat_data.domain.verdict import Outcome
from kat_data.errors import BadReply, ReplyCut
from kat_data.llm.model import Model
from kat_data.llm.prompts.prompt import load_prompt
from kat_data.stages.parts.answering import Written, answer_form, write_answer
from kat_data.stages.parts.assessing import by_verifier
from kat_data.stages.stage import Verify

_MODE_TAG = re.compile(r"<(think_on|think_off)>")


def at_last_turn(draft: Draft) -> Draft | None:
    """Return the draft with the source's own answers as its finished turns; none where they do not lead to a question.

    A conversation must go user, assistant, …, user, behind an optional system message.
    """
    messages = [message for message in draft.query.messages if message.role is not Role.SYSTEM]
    speakers = [Role.USER, Role.ASSISTANT] * (len(messages) // 2) + [Role.USER]
    if [message.role for message in messages] != speakers:
        return None
    pairs = zip(messages[:-1:2], messages[1::2], strict=True)
    return replace(draft, turns=tuple(_said(user.content, answer.content) for user, answer in pairs))


async def roll_out(
    draft: Draft, policy: Model, verify: Verify, *, mode: RolloutMode, prompted: bool, position: int
) -> Rollout:
    """Draw and verify the rollout of index `position`; a reply that cannot be read is undecided, and says why."""
    asked = None if mode is RolloutMode.AUTO else Mode(mode.value)
    try:
        done, written = await _write(draft, policy.once(), asked, prompted=prompted, sample=position)
    except BadReply as error:
        spent = policy.sampling.max_tokens if isinstance(error, ReplyCut) else 0
        call = error.calls[-1] if error.calls else ""
        return Rollout(mode=asked, outcome=Outcome.UNDECIDED, status=error.code, tokens=spent, call=call)
    candidate = Candidate(
        position=position,
        mode=done or Mode.OFF,
        model=policy.name,
        answer=written.answer,
        calls=written.calls,
        thinking=written.thinking,
        tool_calls=written.tool_calls,
    )
    verdict = await by_verifier(draft, candidate, verify)
    return Rollout(
        mode=done,
        outcome=verdict.outcome,
        status=verdict.status.value,
        tokens=written.tokens,
        call=written.calls[-1],
        evidence=verdict.evidence,
    )


async def _write(
    draft: Draft, policy: Model, asked: Mode | None, *, prompted: bool, sample: int
) -> tuple[Mode | None, Written]:
    if (prompted and asked) or (draft.query.tools and not policy.native_tools):
        return asked, await write_answer(draft, policy, reasoned=asked is Mode.ON, sample=sample)
    messages = _messages(draft, asked, prompted=prompted)
    answer = await policy.chat(messages, sample=sample, tools=draft.query.tools)
    mode, thinking, text = read_turn(answer.reply.text, answer.reply.reasoning)
    written = Written(
        model=policy.name,
        answer=normalise(text),
        calls=answer.calls,
        thinking=normalise(thinking),
        tool_calls=answer.reply.tool_calls,
        tokens=answer.reply.usage.completion_tokens,
    )
    return mode or asked, written


def _messages(draft: Draft, asked: Mode | None, *, prompted: bool) -> tuple[Message, ...]:
    if prompted:
        return load_prompt("answer.v1").before(draft.conversation, brief=False, **answer_form(draft))
    *earlier, last = draft.conversation
    return (*earlier, replace(last, content=add_trigger(last.content, asked)) if asked else last)


def read_turn(text: str, reasoning: str = "") -> tuple[Mode | None, str, str]:
    """Return mode, thinking and answer of a policy's reply, as far as it keeps to the training template.

    Looser than `template.parse`: a policy under training leaves out a tag now and then. Without a mode tag the mode is
    think-on where there is thinking, else unknown; without `<answer>` all behind the thinking is the answer; thinking
    that never ends leaves no answer.
    """
    tag = _MODE_TAG.search(text)
    body = text[tag.end() :] if tag else text
    head, closed, rest = body.partition("</think>")
    opened = "<think>" in head
    thinking = head.split("<think>", 1)[-1] if closed or opened else ""
    answer = rest if closed else "" if opened else body
    answer = answer.split("<answer>", 1)[-1].partition("</answer>")[0]
    thinking = reasoning or thinking
    mode = Mode(tag[1]) if tag else Mode.ON if thinking.strip() else None
    return mode, thinking, answer


def _said(user: str, answer: str) -> Turn:
    return Turn(user=user, judge_analysis="", mode=Mode.OFF, thinking="", answer=answer)
