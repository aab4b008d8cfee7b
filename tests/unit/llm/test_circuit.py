from kat_data.errors import EndpointDown, EndpointRefused, RequestRejected
from kat_data.llm.circuit import Circuit
from kat_data.llm.client import Transient

UNREACHABLE = Transient("endpoint a cannot be reached", unreachable=True)
BROKEN = Transient("endpoint a answers HTTP 500")


def test_one_call_that_reached_nobody_stops_the_run():
    stop = Circuit().gave_up(UNREACHABLE, b"key", answers_before=0)
    assert isinstance(stop, EndpointDown)
    assert "cannot be reached: start it" in str(stop)


def test_an_answer_to_another_call_keeps_the_run_going():
    circuit = Circuit()
    circuit.answered()
    assert circuit.gave_up(UNREACHABLE, b"key", answers_before=0) is None


def test_other_faults_stop_the_run_after_eight_in_a_row():
    circuit = Circuit()
    assert [circuit.gave_up(BROKEN, bytes([n]), answers_before=0) for n in range(7)] == [None] * 7
    assert isinstance(circuit.gave_up(BROKEN, b"last", answers_before=0), EndpointDown)


def test_an_answer_starts_the_row_again():
    circuit = Circuit()
    for number in range(7):
        circuit.gave_up(BROKEN, bytes([number]), answers_before=0)
    circuit.answered()
    assert circuit.gave_up(BROKEN, b"last", answers_before=1) is None


def test_requests_that_fail_again_and_again_end_without_stopping_the_run():
    circuit = Circuit()
    for number in range(7):
        circuit.gave_up(BROKEN, bytes([number]), answers_before=0)
    assert [circuit.gave_up(BROKEN, bytes([n % 7]), answers_before=0) for n in range(50)] == [None] * 50


def test_rejections_stop_the_run_only_where_nothing_was_ever_answered():
    error = RequestRejected("endpoint a rejects the request (HTTP 400: no such parameter)")
    fresh, proven = Circuit(), Circuit()
    proven.answered()
    assert [fresh.rejected(error) for _ in range(15)] == [None] * 15
    assert isinstance(fresh.rejected(error), EndpointRefused)
    assert [proven.rejected(error) for _ in range(50)] == [None] * 50
