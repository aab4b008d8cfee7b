"""A program's objects as the tests hold them: handles whose every operation is a request to the program.

An object of the program never says what it is equal to, less than or added to, and is neither true nor false: a program
could answer so as to pass. Its attributes, methods and items are what is tested.
"""

import collections.abc
import itertools
from collections.abc import Generator, Iterator
from typing import Any, NoReturn, Protocol

_SPECIAL = ("__name__", "__doc__", "__dict__", "__call__", "__len__", "__iter__", "__getitem__", "__str__")
_ONE_BY_ONE = 100
_AT_ONCE = 50
_MOST = 100_000


class Session(Protocol):
    """The conversation with the program, as far as a handle needs it."""

    def ask(self, request: dict[str, Any]) -> Any: ...
    def call(self, remote: "Remote", arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any: ...
    def operate(self, operation: str, *operands: Any) -> Any: ...
    def fail(self, failure: str) -> NoReturn: ...


class Remote:
    """An object of the program."""

    __slots__ = ("_Remote__kind", "_Remote__session", "_Remote__target")
    __session: Session
    __target: dict[str, Any]
    __kind: str

    def __init__(self, session: Session, target: dict[str, Any], kind: str) -> None:
        for name, value in (("session", session), ("target", target), ("kind", kind)):
            object.__setattr__(self, f"_Remote__{name}", value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _SPECIAL:
            raise AttributeError(name)
        return self.__session.ask({**self.__target, "attribute": name})

    def __setattr__(self, name: str, value: object) -> None:
        self.__session.operate("set", self, name, value)

    def __delattr__(self, name: str) -> None:
        self.__session.operate("del", self, name)

    def __bool__(self) -> NoReturn:
        self.__session.fail(f"{self.__kind} is an object of the program: it has no truth value here")

    def __eq__(self, other: object) -> bool:
        self.__session.fail(f"{self.__kind} is an object of the program: it is compared with nothing here")

    def __hash__(self) -> int:
        self.__session.fail(f"{self.__kind} is an object of the program: it has no hash here")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.__session.operate("iter", self))

    def __contains__(self, item: object) -> bool:
        """Whether all that it gives, to its end, holds an item: what counts without end holds any number."""
        items = list(itertools.islice(iter(self), _MOST + 1))
        if len(items) > _MOST:
            self.__session.fail(f"{self.__kind} gave {_MOST} items without an end, so nothing is said to be in it")
        return item in items

    def __len__(self) -> int:
        return int(self.__session.operate("len", self))

    def __getitem__(self, key: Any) -> Any:
        return self.__session.operate("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__session.operate("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self.__session.operate("delitem", self, key)

    def __str__(self) -> str:
        return self.__session.operate("str", self)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return self.__session.operate("repr", self)  # type: ignore[no-any-return]

    def __instancecheck__(self, one: object) -> bool:
        return isinstance(one, Remote) and self.__session.operate("isinstance", one, self) is True

    def __subclasscheck__(self, one: object) -> bool:
        return isinstance(one, Remote) and self.__session.operate("issubclass", one, self) is True

    def __enter__(self) -> Any:
        return self.__session.operate("enter", self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> None:
        """Tell the program; it never keeps what the tests raise from them, as it could let no test fail then."""
        self.__session.operate("leave", self, kind and kind.__name__, str(error))

    def __aiter__(self) -> Any:
        return self.__session.operate("aiter", self)

    async def __aenter__(self) -> Any:
        return self.__session.operate("enter_later", self)

    async def __aexit__(self, *_: object) -> None:
        self.__session.operate("leave_later", self)


def target(remote: Remote) -> dict[str, Any]:
    """Return how the program knows an object: `{"o": number}`, or `{"f": name}`."""
    return object.__getattribute__(remote, "_Remote__target")  # type: ignore[no-any-return]


def _session(remote: Remote) -> Session:
    return object.__getattribute__(remote, "_Remote__session")  # type: ignore[no-any-return]


class RemoteFunction(Remote):
    """What the program lets one call: a function, a class, an object with `__call__`."""

    __slots__ = ()

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return _session(self).call(self, arguments, keywords)


class RemoteIterator(Remote):
    """An iterator of the program: it goes on as the tests take items, one by one and later some at once."""

    __slots__ = ("_RemoteIterator__items", "_RemoteIterator__taken")
    __items: list[Any]
    __taken: int

    def __init__(self, session: Session, target: dict[str, Any], kind: str) -> None:
        super().__init__(session, target, kind)
        object.__setattr__(self, "_RemoteIterator__items", [])
        object.__setattr__(self, "_RemoteIterator__taken", 0)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        session, items = _session(self), self.__items
        if not items:
            count = 1 if self.__taken < _ONE_BY_ONE else _AT_ONCE
            came = session.operate("take", self, count)
            if type(came) is not list or len(came) > count:
                session.fail("the program broke the protocol")
            items.extend(reversed(came))
        if not items:
            raise StopIteration
        object.__setattr__(self, "_RemoteIterator__taken", self.__taken + 1)
        return items.pop()


class RemoteCoroutine(Remote, collections.abc.Coroutine[Any, Any, Any]):
    """What the program lets one await; it runs to its end there in one step."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __eq__(self, other: object) -> bool:
        return self is other if isinstance(other, RemoteCoroutine) else super().__eq__(other)

    def send(self, _: Any) -> NoReturn:
        raise StopIteration(_session(self).operate("wait", self))

    def throw(self, kind: Any, *_: Any) -> NoReturn:
        raise kind

    def close(self) -> None: ...

    def __await__(self) -> Generator[Any, Any, Any]:
        return _session(self).operate("wait", self)
        yield


class RemoteAsyncIterator(Remote):
    """An asynchronous iterator of the program."""

    __slots__ = ()

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        session = _session(self)
        came = session.operate("take_later", self)
        if type(came) is not list or len(came) > 1:
            session.fail("the program broke the protocol")
        if not came:
            raise StopAsyncIteration
        return came[0]


SORTS: dict[str, type[Remote]] = {
    "object": Remote,
    "function": RemoteFunction,
    "iterator": RemoteIterator,
    "coroutine": RemoteCoroutine,
    "later": RemoteAsyncIterator,
}
