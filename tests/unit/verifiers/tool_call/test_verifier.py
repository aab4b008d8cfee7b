import pytest

from kat_data.domain.query import VerifierKind, VerifierSpec
from kat_data.domain.tool_call import ToolCall
from kat_data.domain.verdict import Status
from kat_data.testing.builders import a_candidate, a_query
from kat_data.verifiers.tool_call.verifier import ToolCallVerifier, decide_calls, differences

TOOL = {
    "type": "function",
    "function": {
        "name": "area",
        "parameters": {
            "properties": {"side": {"type": "number"}, "unit": {"type": "string"}},
            "required": ["side", "unit"],
        },
    },
}


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall(name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("calls", "difference"),
    [
        ([], "0 calls where 1 are expected"),
        ([call("sum", a=1, b=2)], "no function sum is expected"),
        ([call("add", a=1)], "add: argument b is missing"),
        ([call("add", a=1, b=3)], "add: argument b has the value '3'"),
        ([call("add", a=1, b=2, c=3)], "add: unexpected argument c"),
        ([call("add", a=True, b=2)], "add: argument a has the value 'True'"),
    ],
)
def test_the_first_difference_is_told(calls: list[ToolCall], difference: str) -> None:
    assert differences(calls, [{"add": {"a": [1], "b": [2], "unit": ["cm", ""]}}]) == [difference]


def test_parallel_calls_are_paired_so_that_as_many_as_possible_fit() -> None:
    possible = [{"pick": {"x": [1, 2, 3]}}, {"pick": {"x": [1, 2]}}, {"pick": {"x": [1]}}]
    assert differences([call("pick", x=1), call("pick", x=2), call("pick", x=3)], possible) == []
    assert len(differences([call("pick", x=3), call("pick", x=2), call("pick", x=3)], possible)) == 1


def test_order_matters_where_the_spec_says_so() -> None:
    possible = [{"open": {}}, {"close": {}}]
    verifier = VerifierSpec(kind=VerifierKind.TOOL_CALL, options={"possible": possible, "ordered": True})
    query = a_query(reference=None, verifier=verifier)
    verdicts = [
        ToolCallVerifier().verify(query, a_candidate("", tool_calls=calls))
        for calls in ((call("open"), call("close")), (call("close"), call("open")))
    ]
    assert [verdict.reward for verdict in verdicts] == [1.0, 0.0]


def test_an_endlessly_nested_argument_is_wrong_and_no_crash() -> None:
    nested: list[object] = []
    for _ in range(500):
        nested = [nested]
    assert differences([call("f", x=nested)], [{"f": {"x": [nested]}}])


def test_a_tool_s_own_requirements_and_types_count() -> None:
    possible = [{"area": {"side": [2], "unit": ["cm", ""]}}]
    assert decide_calls([call("area", side=2.0, unit="cm")], possible, tools=[TOOL]).reward == 1.0
    assert decide_calls([call("area", side=2)], possible, tools=[TOOL]).evidence["differences"] == [
        "area: argument unit is missing"
    ]
    assert decide_calls([call("areas", side=2)], possible, tools=[TOOL]).evidence["differences"] == [
        "no function areas is at hand"
    ]


@pytest.mark.parametrize(
    "raw",
    [
        [{"name": "f", "arguments": '{"x": 1}'}],
        [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}],
        [{"f": {"x": 1}}],
        {"f": {"x": 1}},
        '[{"name": "f", "parameters": {"x": 1}}]',
    ],
)
def test_calls_are_read_in_every_shape(raw: object) -> None:
    assert decide_calls(raw, [{"f": {"x": [1]}}]).status is Status.CORRECT


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ([{"name": "f", "arguments": "{'x': 1}"}], "f: the arguments are no JSON"),
        ([{"name": "f", "arguments": '{"x": NaN}'}], "f: the arguments are no JSON"),
        ([{"name": "f", "arguments": '{"x": 2, "x": 1}'}], "f: the arguments cannot be read in one way only"),
        ([{"name": "f", "arguments": "[1]"}], "f: the arguments are no object"),
        ([{"arguments": {"x": 1}, "x": 1}], "a call has no name"),
        (["f(x=1)"], "a call is an object"),
        ("f(x=1)", "the calls are no JSON"),
    ],
)
def test_what_cannot_be_read_is_incorrect_with_the_reason(raw: object, why: str) -> None:
    verdict = decide_calls(raw, [{"f": {"x": [1]}}])
    assert verdict.status is Status.INCORRECT
    assert verdict.evidence["differences"][0].startswith(why)


@pytest.mark.parametrize(
    ("text", "reward"),
    [
        ("No tool knows that.", 1.0),
        ("f(x) is a function of x.", 1.0),
        ("", 1.0),
        ("[f(x=1)]", 0.0),
        ('{"f": {"x": 1}}', 0.0),
        ('{"g": {"x": 1}}', 1.0),
        ('I will call `f("a")` now.', 0.0),
        ("`f` is of no use here.", 1.0),
        ("<tool_call>f</tool_call>", 0.0),
        ('{"name": "f", "arguments": {"x": 1}}', 0.0),
    ],
)
def test_where_no_call_fits_none_may_be_made_in_the_text_either(text: str, reward: float) -> None:
    tool = {"name": "f", "parameters": {}}
    assert decide_calls([], [], tools=[tool], text=text).reward == reward


@pytest.mark.parametrize("possible", [None, "f", [{"f": {"x": 1}}], [{"f": {}, "g": {}}], [{"f": {"x": []}}], [{}]])
def test_malformed_accepted_calls_leave_the_answer_not_verified(possible: object) -> None:
    verdict = decide_calls([call("f", x=1)], possible)
    assert (verdict.status, verdict.reward) == (Status.NOT_VERIFIED, None)


def test_long_chains_of_moves_are_paired_and_too_many_calls_are_refused() -> None:
    possible = [{"f": {"x": [i, (i + 1) % 200]}} for i in range(200)]
    assert differences([call("f", x=i) for i in range(200)], possible) == []
    many = [call("f", x=1)] * 1200
    assert differences(many, [{"f": {"x": [1]}}] * 1200) == ["1200 calls in any order, where at most 200 are compared"]
