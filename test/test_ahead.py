"""Steps that go on at the same time."""

import threading

import pytest

from sosd_ros.ahead import ahead


def test_items_come_in_their_order():
    """All of them, by way of several threads."""
    assert list(ahead(ahead(range(100)))) == list(range(100))
    assert list(ahead([])) == []


def test_the_next_item_is_made_while_one_is_used_and_no_more():
    """So memory is bounded: one is used, one waits."""
    made, two = [], threading.Event()

    def items():
        for number in range(10):
            made.append(number)
            if number == 1:
                two.set()
            yield number

    coming = ahead(items())
    assert next(coming) == 0
    assert two.wait(60)  # though nobody has asked for it
    assert made == [0, 1]
    coming.close()


def test_what_fails_is_raised_where_it_is_taken():
    """After all that came before."""

    def items():
        yield 1
        raise ValueError("broken")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="broken"):
        next(coming)
