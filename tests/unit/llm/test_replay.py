import gzip

import pytest

from kat_data.domain.tool_call import ToolCall
from kat_data.errors import InputError, RecordingMiss
from kat_data.llm.replay import Recording, RecordingClient, ReplayClient
from kat_data.testing import ScriptedClient, a_reply, a_request

REQUESTS = [a_request(f"question {n}", sample=n) for n in range(5)]


def recording_of(requests) -> Recording:
    recording = Recording()
    for request in requests:
        recording.add(request, a_reply(request.messages[-1].content, reasoning="so", prompt_tokens=request.sample))
    return recording


def test_what_is_saved_is_loaded_without_loss(tmp_path):
    reply = a_reply("数", reasoning="因此", tool_calls=(ToolCall(name="f", arguments={"x": [1, None]}),))
    recording = recording_of(REQUESTS)
    recording.add(a_request("last"), reply)
    recording.save(tmp_path / "calls.jsonl.gz")
    loaded = Recording.load(tmp_path / "calls.jsonl.gz")
    assert len(loaded) == 6
    assert loaded.get(a_request("last")) == reply
    assert [loaded.get(r) for r in REQUESTS] == [recording.get(r) for r in REQUESTS]


def test_the_same_replies_give_the_same_bytes_in_any_order_and_after_a_round_trip(tmp_path):
    one, other, again = (tmp_path / name for name in ("one.gz", "other.gz", "again.gz"))
    recording_of(REQUESTS).save(one)
    recording_of(reversed(REQUESTS)).save(other)
    Recording.load(one).save(again)
    assert one.read_bytes() == other.read_bytes() == again.read_bytes()
    assert one.read_bytes()[4:8] == bytes(4), "gzip's header holds no time"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.gz", "one.gz", "other.gz"]


def test_records_tell_people_what_they_are_about(tmp_path):
    recording = Recording()
    recording.add(a_request("What is\n  6 * 7? " + "x" * 500), a_reply())
    recording.save(tmp_path / "calls.gz")
    line = gzip.decompress((tmp_path / "calls.gz").read_bytes())
    assert b'"about":"What is 6 * 7? xxx' in line
    assert len(line) < 400


def test_keep_forgets_the_rest():
    recording = recording_of(REQUESTS)
    recording.keep({REQUESTS[0].key.hex()})
    assert REQUESTS[0] in recording
    assert REQUESTS[1] not in recording
    assert recording.get(REQUESTS[1]) is None


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"{}\n", mtime=0),
        gzip.compress(b"{\n", mtime=0),
        gzip.compress(b'{"key": "x", "reply": {}}', mtime=0),
    ],
)
def test_a_file_that_is_no_recording_is_refused_by_name(tmp_path, content):
    path = tmp_path / "calls.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"calls\.gz"):
        Recording.load(path)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.gz"):
        Recording.load(tmp_path / "nothing.gz")


async def test_replay_answers_what_was_recorded():
    assert (await ReplayClient(recording_of(REQUESTS)).complete(REQUESTS[2])).text == "question 2"


async def test_a_miss_names_model_call_and_words():
    request = a_request("Who was\nthe first?")
    with pytest.raises(RecordingMiss) as miss:
        await ReplayClient(Recording()).complete(request)
    assert all(word in str(miss.value) for word in ("scripted", request.key.hex()[:12], "Who was the first?"))


async def test_recording_asks_only_for_what_is_missing():
    live = ScriptedClient(lambda request: "live")
    recording = recording_of(REQUESTS[:4])
    client = RecordingClient(recording, live)
    texts = [(await client.complete(request)).text for request in (*REQUESTS, REQUESTS[4])]
    assert texts == ["question 0", "question 1", "question 2", "question 3", "live", "live"]
    assert live.requests == [REQUESTS[4]]
    assert client.asked == {request.key.hex() for request in REQUESTS}
    await client.close()
    assert live.closed
