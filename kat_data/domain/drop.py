"""Why a query leaves a run without a sample: one enum, each reason with its sentence."""

from dataclasses import dataclass
from enum import StrEnum

from kat_data.domain.draft import Draft


class DropReason(StrEnum):
    """A reason code; `sentence` explains it to people, and the funnel counts it."""

    sentence: str

    def __new__(cls, code: str, sentence: str) -> "DropReason":
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    EMPTY_QUERY = "empty_query", "Nothing is left of the query's text after normalisation."
    NO_USER_TURN = "no_user_turn", "No message of the conversation is the user's."
    DAMAGED_TEXT = "damaged_text", "The query lost characters on its way: replaced ones, or ones of a private font."
    TOOL_WITHOUT_SCHEMA = "tool_without_schema", "A tool has no name, or no JSON Schema of its arguments."
    TOO_LONG = "too_long", "The query is longer than the recipe allows."
    RESERVED_TAG = "reserved_tag", "The query holds a tag of the training template."
    UNSUPPORTED_HISTORY = (
        "unsupported_history",
        "The conversation holds tool results, and the recipe has no stage that gives them: add `observe`.",
    )
    MALFORMED_HISTORY = (
        "malformed_history",
        "The conversation's tool results do not follow the calls that they answer.",
    )
    HISTORY_WITHOUT_TOOLS = (
        "history_without_tools",
        "The conversation calls tools that the query does not describe.",
    )
    LICENCE_NOT_ALLOWED = (
        "licence_not_allowed",
        "The query's licence is none of those that the recipe allows: left out before the run.",
    )
    WITHDRAWN = "withdrawn", "The query was withdrawn: `kat queries withdrawals` says why."
    NEAR_DUPLICATE = "near_duplicate", "Another query that is alike but for a few words stays in its place."
    CONTAMINATED = "contaminated", "The query holds an item of a benchmark."
    OUTSIDE_MIXTURE = "outside_mixture", "The query belongs to no stratum of the mixture."
    NO_VERIFIER = "no_verifier", "The query has no verifier that could reward an answer."
    NOT_NEEDED = "not_needed", "The mixture needs no more of these queries."
    CROWDED_CLUSTER = "crowded_cluster", "The run has enough queries that mean nearly the same."
    UNTAGGED = "untagged", "No tagging model gave a usable difficulty and domain."
    UNLABELLED = "unlabelled", "No labelling model gave an answer that could be read."
    NO_MAJORITY = "no_majority", "The labelling models' answers agree too little for a soft label."
    NO_VOTE = "no_vote", "No voting model gave a usable vote."
    NO_CANDIDATE = "no_candidate", "No model gave an answer that could be read."
    NOTHING_ACCEPTED = "nothing_accepted", "No stage of the recipe accepted an answer in this mode."
    REPLY_CUT = "reply_cut", "Every answer was cut at the length limit."
    WRONG_ANSWER = "wrong_answer", "No answer was found right, and at least one was found wrong."
    UNDECIDED = "undecided", "The verifier could not decide on any answer."
    OFF_RECORD = "off_record", "No answer made the calls that the recorded conversation makes at this step."
    PANEL_REJECTED = "panel_rejected", "The judging models accepted no answer."
    CRITIC_REJECTED = "critic_rejected", "The critic passed no answer within the round limit."
    NO_SANDBOX = (
        "no_sandbox",
        "The answer is a program, and no sandbox is at hand to run it: not verified. The next `kat run` with a sandbox "
        "takes the query up again.",
    )
    INVALID_TASK = (
        "invalid_task",
        "The task's own tests do not hold for its reference, or hold for a program that does nothing.",
    )
    NOT_RENDERABLE = "not_renderable", "The answer or its thinking holds a tag of the training template."
    TOO_EASY = "too_easy", "The policy answers the query right more often than the recipe keeps."
    TOO_HARD = "too_hard", "The policy answers the query right less often than the recipe keeps."
    UNMEASURED = "unmeasured", "Too few of the policy's answers could be decided for a pass rate."
    NO_SCORE = "no_score", "No rewarder gave usable scores."
    LOW_SCORE = "low_score", "The best accepted answer scores less than the recipe asks for."
    NO_PLAN = "no_plan", "No planner gave a usable plan."
    UNDEVELOPED = "undeveloped", "The coder took a step in vain, or its solution failed its tests or its review."
    STEP_LIMIT = "step_limit", "The trajectory did not come to an answer within the recipe's steps."
    TRAJECTORY_REJECTED = "trajectory_rejected", "The judging models found the trajectory as a whole not good."
    NO_RESULT = "no_result", "No model gave a usable result of a tool call."
    NO_JUDGE_ANALYSIS = "no_judge_analysis", "No model wrote a usable judge analysis."


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A stage's refusal of a draft: the reason that the funnel counts, and a detail for one reader.

    `draft` holds what the stage found before it gave up (rejected candidates, verdicts): paid for, so kept.
    """

    reason: DropReason
    detail: str = ""
    draft: Draft | None = None
