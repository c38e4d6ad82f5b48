from __future__ import annotations

import io
import sys

import pytest

from generator.base import terminal


def test_what_is_said_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("a line")
    assert capsys.readouterr() == ("", "a line\n")


def test_a_pipe_gets_no_line_from_short_work(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal.bar("reading", 3, "images") as bar:
        for _ in range(3):
            bar.advance()
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_lines_but_none_for_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", -1.0)
    with terminal.bar("reading", 10, "images") as bar:
        bar.advance(4)
        bar.advance(2, "loss 0.5")
        bar.advance(4, "loss 0.4")
    with terminal.bar("drawing", 2) as bar:
        bar.advance()
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == ["reading: 4 of 10 images", "reading: 6 of 10 images, loss 0.5", "drawing: 50%"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0, ""), (0.6, ", about 1 s left"), (89.0, ", about 89 s left"), (90.0, ", about 2 min left")],
)
def test_what_is_left_is_told_in_seconds_or_minutes(seconds: float, told: str) -> None:
    assert terminal.left(seconds) == told


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_that_is_wiped_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.bar("reading", 10, "images") as bar:
        bar.advance(10, "loss 0.5")
    assert "reading:   0%" in screen.getvalue()
    assert screen.getvalue().rsplit("\r", 2)[-2].strip() == ""


def test_a_line_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.bar("training", 10) as bar:
        bar.advance(5, "loss 0.5")
        terminal.say("epoch 1 of 2")
    drawn = [part for line in screen.getvalue().split("\n") for part in line.split("\r")]
    assert "epoch 1 of 2" in drawn
    assert any(part.startswith("training:   0%|") and "<" in part for part in drawn)  # with the remaining time
