"""What goes over between tests and a program: values, handles, exceptions; and what makes a task invalid instead."""

import pytest

from kat_data.sandbox.base import Program, Suite
from kat_data.sandbox.pool import SlotPool

pytestmark = pytest.mark.integration

PROGRAM = """
import asyncio, collections, dataclasses, datetime, decimal, fractions, itertools

class StackError(ValueError):
    def __init__(self, message, code=7):
        super().__init__(message, code)
        self.code = code
    def __str__(self): return "stack: " + self.args[0]
class EmptyError(StackError): pass
class Leaving(SystemExit): pass
Anything = Exception
Wrong = AssertionError
class Stack:
    kind = "lifo"
    def __init__(self, items=()): self.items = list(items); self.next = None; self.log = []
    def push(self, x): self.items.append(x); return self
    def pop(self):
        if not self.items: raise EmptyError("empty")
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, i): return self.items[i]
    def __setitem__(self, i, x): self.items[i] = x
    def __repr__(self): return f"Stack({self.items})"
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __add__(self, other): return 0
    def __enter__(self): self.log.append("in"); return self
    def __exit__(self, kind, error, trace): self.log.append(kind and kind.__name__); return True
class Deep(Stack): pass
class Down:
    def __init__(self, n): self.n = n
    def __iter__(self): return self
    def __next__(self):
        if not self.n: raise StopIteration
        self.n -= 1
        return self.n
Point = collections.namedtuple("Point", "x y")

def entry(x): return x
def half(n): return fractions.Fraction(n, 2)
def price(): return decimal.Decimal("1.10")
def day(d): return d + datetime.timedelta(days=1)
def count(xs): return collections.Counter(xs)
def grouped(xs):
    found = collections.defaultdict(list)
    for x in xs: found[len(x)].append(x)
    return found
def ordered(pairs): return collections.OrderedDict(pairs)
def point(): return Point(1, 2)
def shift(d): d.rotate(1); d.append(9)
def fib():
    a, b = 0, 1
    while True:
        yield a
        a, b = b, a + b
def breaks(n):
    yield from range(n)
    raise StackError("at the end")
def keys(d): return d.keys()
def total(it): return next(it) + sum(it)
async def later(x):
    await asyncio.sleep(0)
    if x < 0: raise StackError("late")
    return x * 2
async def ticks(n):
    for i in range(n): yield i
def guarded(f):
    try: return f()
    except KeyError as error: return error.args[0]
def leave(): raise Leaving(0)
def cheat(): return Stack()
shared = Stack()
def get_shared(): return shared
"""
NAMES = (
    "Stack", "StackError", "EmptyError", "Deep", "Down", "Point", "half", "price", "day", "count", "grouped", "ordered",
    "point", "shift", "fib", "breaks", "keys", "total", "later", "ticks", "guarded", "leave", "cheat", "get_shared",
    "Leaving", "Anything", "Wrong",
)  # fmt: skip


@pytest.mark.parametrize(
    "test",
    [
        "from fractions import Fraction\nassert half(3) == Fraction(3, 2)\n"
        "assert half(3) + half(1) == 2 and type(half(1)) is Fraction",
        "from decimal import Decimal\nassert price() == Decimal('1.1') and str(price()) == '1.10'",
        "import datetime as t\nassert day(t.date(2024, 2, 28)) == t.date(2024, 2, 29)\n"
        "assert day(t.datetime(2024, 1, 1, 5, tzinfo=t.timezone.utc)).tzinfo == t.timezone.utc",
        "from collections import Counter\nassert count('aab') == Counter('baa') and count('aab')['z'] == 0",
        "assert count('aab').most_common(1) == [('a', 2)]",
        "g = grouped(['a', 'bb', 'c'])\nassert g == {1: ['a', 'c'], 2: ['bb']} and g[5] == []",
        "from collections import OrderedDict as O\nassert ordered([(1, 2), (0, 3)]) == O([(1, 2), (0, 3)])\n"
        "assert ordered([(1, 2), (0, 3)]) != O([(0, 3), (1, 2)])",
        "from collections import deque\nd = deque([1, 2, 3], 5)\nshift(d)\n"
        "assert d == deque([3, 1, 2, 9]) and d.maxlen == 5",
        "p = point()\nassert p == (1, 2) and p.x == 1 and p.y == 2 and p._asdict() == {'x': 1, 'y': 2}",
        "assert entry(point()) == (1, 2) and Point(3, 4).y == 4",
        "from itertools import islice\nassert list(islice(fib(), 6)) == [0, 1, 1, 2, 3, 5]",
        "g = fib()\nassert [next(g), next(g), next(g), next(g)] == [0, 1, 1, 2]",
        "d = Down(250)\nassert next(d) == 249 and d.n == 249 and sum(d) == sum(range(249)) and next(d, None) is None",
        "seen = []\ntry:\n    for x in breaks(130):\n        seen.append(x)\nexcept StackError as error:\n"
        "    seen.append(str(error))\nassert seen == [*range(130), 'stack: at the end']",
        "assert keys({1: 2}) == {1} and len(keys({1: 2})) == 1 and list(keys({3: 4})) == [3]",
        "assert total(iter([1, 2, 3])) == 6 and total(x for x in [4, 5]) == 9",
        "import asyncio\nassert asyncio.run(later(4)) == 8",
        "import asyncio\nasync def work():\n    a, b = await asyncio.gather(later(1), later(2))\n"
        "    return a + b + await later(3)\nassert asyncio.run(work()) == 12",
        "import asyncio\nasync def work():\n    return [t async for t in ticks(3)]\n"
        "assert asyncio.run(work()) == [0, 1, 2]",
        "import asyncio\ntry:\n    asyncio.run(later(-1))\nexcept StackError as e:\n"
        "    assert e.code == 7\nelse:\n    assert 0",
        "try:\n    Stack().pop()\n    assert False\nexcept EmptyError as error:\n"
        "    assert str(error) == 'stack: empty' and error.code == 7 and error.args == ('empty', 7)",
        "try:\n    Stack().pop()\nexcept StackError as error:\n"
        "    assert type(error) is EmptyError\nelse:\n    assert False",
        "try:\n    Stack().pop()\nexcept ValueError:\n    pass\nelse:\n    assert False",
        "assert issubclass(EmptyError, StackError) and issubclass(StackError, ValueError)",
        "assert isinstance(Deep(), Stack) and not isinstance(Stack(), Deep) and not isinstance(3, Stack)",
        "assert issubclass(Deep, Stack) and not isinstance(Stack(), int)",
        "assert hasattr(Stack(), 'push') and not hasattr(Stack(), 'absent') and hasattr(Stack, 'kind')",
        "assert callable(entry) and callable(Stack) and callable(Stack().push) and not callable(Stack())",
        "s = Stack()\ns.items = [1]\ns.extra = 5\nassert s.items == [1] and s.extra == 5\n"
        "del s.extra\nassert not hasattr(s, 'extra')",
        "a, b = Stack(), Stack()\na.next = b\n"
        "assert a.next is b and a.next.next is None and get_shared() is get_shared()",
        "s = Stack([1, 2])\ns[0] = 5\nassert s[0] == 5 and len(s) == 2 and list(s) == [5, 2]\n"
        "assert repr(s) == 'Stack([5, 2])' and 2 in s",
        "with Stack() as s:\n    s.push(1)\nassert s.log == ['in', None]",
        "def bad():\n    raise KeyError('k')\nassert guarded(bad) == 'k'",
        "assert Stack([1]).__dict__['items'] == [1] and vars(Stack([1]))['items'] == [1]",
    ],
)  # fmt: skip
def test_what_goes_over(any_sandbox: SlotPool, test: str) -> None:
    tested = any_sandbox.judge(
        Program(source=PROGRAM), lambda loaded: loaded.test(Suite(tests=(test,), entry="entry", names=NAMES))
    )
    assert tested.passed, tested.failure


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("assert cheat() == 5", "compared with nothing"),
        ("assert 5 == cheat()", "compared with nothing"),
        ("assert cheat() != 5", "compared with nothing"),
        ("assert abs(cheat() - 1.41) < 1e-6", "TypeError"),
        ("assert cheat() + 1 == 0", "TypeError"),
        ("assert cheat()", "no truth value"),
        ("assert not cheat()", "no truth value"),
        ("assert cheat() in [1, 2]", "compared with nothing"),
        ("assert {cheat(): 1}", "no hash"),
        ("with cheat():\n    assert False", "AssertionError"),
        ("try:\n    leave()\nexcept BaseException:\n    pass", "Leaving"),
        ("try:\n    assert entry(1) == 2\nexcept Leaving:\n    pass", "calls Leaving an exception of its own"),
        ("try:\n    assert entry(1) == 2\nexcept Anything:\n    pass", "calls Exception an exception of its own"),
        ("try:\n    assert entry(1) == 2\nexcept Wrong:\n    pass", "calls AssertionError an exception of its own"),
        ("try:\n    assert entry(1) == 2\nexcept StackError:\n    pass", "AssertionError"),
        ("assert isinstance(cheat(), int)", "AssertionError"),
        ("assert callable(cheat())", "AssertionError"),
        ("assert next(fib()) == 1", "AssertionError"),
        ("assert list(breaks(3)) == [0, 1, 2]", "at the end"),
        ("from fractions import Fraction\nassert half(3) == Fraction(1, 2)", "AssertionError"),
    ],
)
def test_what_decides_nothing(any_sandbox: SlotPool, test: str, says: str) -> None:
    tested = any_sandbox.judge(
        Program(source=PROGRAM), lambda loaded: loaded.test(Suite(tests=(test,), entry="entry", names=NAMES))
    )
    assert (tested.passed, tested.fault) == (False, False)
    assert says in tested.failure


@pytest.mark.parametrize(
    ("test", "says"),
    [
        ("s = Stack()\ns.push(1)\nassert s == Stack()", "Stack, a class of the program"),
        ("assert isinstance(entry(1), Stack) or Stack() != Stack()", "Stack, a class of the program"),
        ("s = Stack()\ns.push(1)\nassert (s + s).items == []", "Stack, a class of the program"),
        ("s = Stack()\nassert s.push and s", "Stack, a class of the program"),
        ("s = Stack()\ns.push(1)\nassert [s] == [entry(1)]", "Stack, a class of the program"),
        ("s = Stack()\ns.push(1)\nassert {s: 1}", "Stack, a class of the program"),
        ("class Node:\n    pass\nassert entry(Node()) is None", "an object of their own, a Node"),
    ],
)
def test_tests_that_cannot_be_judged_are_the_tasks_fault(any_sandbox: SlotPool, test: str, says: str) -> None:
    suite = Suite(tests=(test,), entry="entry", names=NAMES)
    for source in [PROGRAM] if "Node" in test else [PROGRAM, "def entry(x): return x\n", "1 / 0", "exit(0)"]:
        tested = any_sandbox.judge(Program(source=source), lambda loaded: loaded.test(suite))
        assert (tested.passed, tested.fault) == (False, True), tested
        assert says in tested.failure
