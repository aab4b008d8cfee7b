"""A query's hash: equal for exact duplicates, different for anything that asks another thing."""

from hypothesis import given
from hypothesis import strategies as st

from kat_data.domain.category import Category
from kat_data.domain.query import Message, Query, Role, VerifierKind, VerifierSpec, query_hash
from kat_data.domain.text import fold

texts = st.lists(st.sampled_from(["a", "A", " ", "\n", "\t", "e\u0301", "\u00e9", "\u200b", "中"]), max_size=4).map(
    "".join
)
messages = st.lists(st.builds(Message, role=st.sampled_from(Role), content=texts), max_size=3).map(tuple)


def a_query(*messages: tuple[Role, str], **fields: object) -> Query:
    said = tuple(Message(role=role, content=content) for role, content in messages)
    values = {"category": Category.MATH, "source": "made-up", "licence": "MIT", **fields}
    return Query(messages=said, **values)  # type: ignore[arg-type]


def folded(said: tuple[Message, ...]) -> list[tuple[Role, str]]:
    """The messages that say something, or that count although they are empty."""
    parts = [(message.role, fold(message.content)) for message in said]
    return [(role, text) for role, text in parts if text or role in (Role.USER, Role.TOOL)]


@given(messages, messages)
def test_hashes_are_equal_exactly_when_the_folded_messages_are(
    left: tuple[Message, ...], right: tuple[Message, ...]
) -> None:
    assert (query_hash(left, ()) == query_hash(right, ())) == (folded(left) == folded(right))


def test_white_space_and_unicode_form_do_not_matter_but_case_does() -> None:
    base = a_query((Role.USER, "Caf\u00e9  or\ntea?"))
    assert len(base.hash) == 32
    assert a_query((Role.USER, " Cafe\u0301 or tea? ")).hash == base.hash
    assert a_query((Role.USER, "caf\u00e9 or tea?")).hash != base.hash


def test_tools_matter_and_the_order_of_their_keys_does_not() -> None:
    said = (Role.USER, "Add 1 and 2.")
    add, subtract = ({"type": "function", "function": {"name": name}} for name in ("add", "subtract"))
    turned = {"function": {"name": "add"}, "type": "function"}
    hashes = [a_query(said, tools=tools).hash for tools in ((), (add,), (subtract,), (add, subtract))]
    assert len(set(hashes)) == 4
    assert a_query(said, tools=(turned,)).hash == hashes[1]


def test_roles_and_the_cut_between_messages_matter() -> None:
    hashes = {
        a_query((Role.USER, "a b")).hash,
        a_query((Role.SYSTEM, "a b")).hash,
        a_query((Role.USER, "a"), (Role.USER, "b")).hash,
        a_query((Role.USER, "b"), (Role.USER, "a")).hash,
    }
    assert len(hashes) == 4


def test_what_is_known_of_the_answer_does_not_matter() -> None:
    spec = VerifierSpec(kind=VerifierKind.MATH)
    said = (Role.USER, "1+1?")
    other = a_query(
        said, reference="2", verifier=spec, source="elsewhere", licence="CC0-1.0", category=Category.GENERAL
    )
    assert other.hash == a_query(said).hash


def test_a_conversation_s_parts() -> None:
    query = a_query((Role.SYSTEM, "s"), (Role.USER, "one"), (Role.ASSISTANT, "x"), (Role.USER, "two"))
    assert (query.system, query.user_turns) == ("s", ("one", "two"))
    assert a_query((Role.USER, "one"), (Role.SYSTEM, "late")).system is None
    assert a_query().system is None
