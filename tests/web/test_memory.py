"""Results that are kept: made once, dropped when there are too many, made again after a failure."""

import threading

import pytest

from generatect.web.memory import Memory


def test_what_many_ask_for_at_once_is_made_once():
    memory, made, together = Memory[bytes](len, 100), [], threading.Barrier(8)

    def make() -> bytes:
        made.append(1)
        return b"result"

    def ask() -> None:
        together.wait(10)
        assert memory.get("key", make) == b"result"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert memory.making == {}


def test_the_least_lately_asked_for_goes_first_and_the_last_one_never():
    memory = Memory[bytes](len, 10)
    for key in "abc":
        memory.get(key, lambda: bytes(4))
    assert list(memory.kept) == ["b", "c"]
    memory.get("b", lambda: b"not made")
    memory.get("d", lambda: bytes(4))
    assert list(memory.kept) == ["b", "d"]
    memory.get("e", lambda: bytes(1000))
    assert list(memory.kept) == ["e"]


def test_a_failure_is_not_kept():
    memory = Memory[bytes](len, 10)
    with pytest.raises(ZeroDivisionError):
        memory.get("key", lambda: bytes(1 // 0))
    assert memory.get("key", lambda: b"now") == b"now"
