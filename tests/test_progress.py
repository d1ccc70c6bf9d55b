"""Amounts and times as people say them."""

import io

import pytest

from generatect.progress import bars, duration, rate, size, tracked


@pytest.mark.parametrize(
    ("num_bytes", "said"),
    [
        *((0, "0 B"), (640, "640 B"), (999.6, "1 kB"), (1_250, "1.25 kB"), (999_600, "1 MB"), (80e6, "80 MB")),
        *((12_600_000_000, "12.6 GB"), (1.5e12, "1.5 TB")),
    ],
)
def test_a_size_is_never_nothing_where_there_is_something(num_bytes, said):
    assert size(num_bytes) == said


@pytest.mark.parametrize(("speed", "said"), [(0.251, "0.25/s"), (1.04, "1.0/s"), (12.3, "12/s"), (92370.2, "92,370/s")])
def test_a_rate(speed, said):
    assert rate(speed) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1 s"), (89.0, "89 s"), (100.0, "2 min"), (5400.0, "1 h 30 min")])
def test_a_duration(seconds, said):
    assert duration(seconds) == said


def test_a_log_gets_no_bar_behind_what_it_announces(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr("sys.stdout", log)
    with bars() as show:
        show("volumes", 1, 1)
        print("wrote a")
    assert list(tracked([1, 2], "slices", 2, shown=True)) == [1, 2]
    assert log.getvalue() == "wrote a\n"
