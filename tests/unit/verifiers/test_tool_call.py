import pytest

from kat_data.domain.candidate import ToolCall
from kat_data.verifiers.tool_call import differences


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


def test_an_endlessly_nested_argument_is_wrong_and_no_crash() -> None:
    nested: list[object] = []
    for _ in range(500):
        nested = [nested]
    assert differences([call("f", x=nested)], [{"f": {"x": [nested]}}])
