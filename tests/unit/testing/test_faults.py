from collections import Counter

from kat_data.testing.faults import ALL_KINDS, Fault, Unreliable


def bodies(number: int) -> list[dict]:
    return [{"messages": [{"role": "user", "content": str(n)}]} for n in range(number)]


def fates(script: Unreliable, asked: list[dict]) -> dict[str, str]:
    answers = {body["messages"][0]["content"]: script(body) for body in asked}
    return {key: answer.outcome if isinstance(answer, Fault) else answer for key, answer in answers.items()}


def test_a_share_of_the_requests_fails_whatever_their_order():
    asked = bodies(2000)
    first = fates(Unreliable(lambda body: "fine", 0.05, seed=7), asked)
    assert fates(Unreliable(lambda body: "fine", 0.05, seed=7), asked[::-1]) == first
    assert fates(Unreliable(lambda body: "fine", 0.05, seed=8), asked) != first
    kinds = Counter(first.values())
    assert 0.035 < 1 - kinds.pop("fine") / 2000 < 0.065
    assert set(kinds) == {fault.outcome for fault in ALL_KINDS} == {"429", "500", "malformed", "drop", "hang"}


def test_a_request_that_is_tried_again_has_a_new_chance():
    script = Unreliable(lambda body: "fine", 0.5)
    [body] = bodies(1)
    assert {type(script(body)) for _ in range(40)} == {str, Fault}
