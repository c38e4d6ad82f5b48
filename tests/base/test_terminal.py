from __future__ import annotations

import io
import re
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("71.2\u00a0%, Löwe, 日本, 🐝, ×, −", "71.2\u00a0%, Löwe, 日本, 🐝, ×, −"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x1b[31mred\x1b]0;title\x07\x9b1m\x7f", r"\x1b[31mred\x1b]0;title\x07\x9b1m\x7f"),
        ("caf\udce9.png", r"caf\xe9.png"),  # the byte of a name that is not UTF-8
        ("\ud800 \u202egnp.exe\u2069 \u2028", r"\ud800 \u202egnp.exe\u2069 \u2028"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert terminal.plain(text) == shown


def test_names_in_lines_and_bars_are_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.say("\x1b[2Jsaid")
    terminal.fail("\x1b[2Jfailed")
    terminal.result("\x1b[2Jresult")
    terminal.done("\x1b[2Jdone")
    assert capsys.readouterr() == ("\\x1b[2Jresult\n\\x1b[2Jdone\n", "\\x1b[2Jsaid\n\\x1b[2Jfailed\n")
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.bar("\x1b[2Jnetwork", 10) as bar:
        bar.advance(10, "\x1b[2Jnote")
    assert "\\x1b[2Jnetwork" in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()


def test_a_whole_tells_percent_stage_and_time_left_and_is_corrected_by_what_was_measured() -> None:
    now = [0.0]
    whole = terminal.Whole({"loading": 9.0, "explaining": 20.0, "drawing": 10.0}, clock=lambda: now[0])
    assert whole.line == "0 %: loading, about 39 s left"
    now[0] = 19.0  # twice what was thought, as all the rest is thought to take now
    whole.begin("explaining")
    assert whole.seconds_left == pytest.approx(2 * 30)
    assert whole.line == "24 %: explaining, about 60 s left"
    now[0] = 24.0
    whole.reach(0.5)  # measured: 5 s more of this stage, and of the last one as much as was thought
    assert whole.seconds_left == pytest.approx(5 + 2 * 10)
    whole.begin("drawing")
    assert whole.seconds_left == pytest.approx(10 * 25 / 30)
    now[0] = 40.0
    assert 0 < whole.seconds_left < 2  # longer than thought: it is not said to be over
    whole.reach(1.0)
    assert whole.line == "99 %: drawing"


def test_stages_of_a_whole_are_divided_and_passed_over() -> None:
    whole = terminal.Whole({"loading": 1.0, "looking": 10.0, "drawing": 1.0}, clock=lambda: 0.0)
    whole.divide("looking", {"one": 30.0, "other": 6.0})
    assert list(whole.expected) == ["loading", "one", "other", "drawing"]
    whole.divide("loading", {"never": 1.0})  # it has begun
    whole.begin("nobody's")
    assert (whole.stage, list(whole.expected)) == ("loading", ["loading", "one", "other", "drawing"])
    whole.begin("drawing")
    assert set(whole.took) == {"loading", "one", "other"}


def test_a_bar_that_is_called_as_a_later_stage_begins_it() -> None:
    with terminal.whole({"loading": 1.0, "net, test": 10.0, "drawing": 5.0}) as whole:
        with terminal.bar("net, test", 4, "images") as bar:
            bar.advance(3)
        assert (whole.stage, whole.share) == ("net, test", 0.75)
        assert list(whole.took) == ["loading"]


def test_a_pipe_gets_one_line_of_a_whole_and_its_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "SECONDS_BETWEEN_LINES", -1.0)
    with terminal.whole({"loading": 100.0, "drawing": 60.0}) as whole:
        with terminal.bar("loading", 2, "files") as bar:
            bar.advance()
        with terminal.bar("another", 2, "files") as bar:  # no stage of it
            bar.advance()
        whole.begin("drawing")
        terminal.progress().reach(0.25)
    assert terminal.progress() is not whole
    first, half, other, drawing, quarter = capsys.readouterr().err.splitlines()
    assert first == "0 %: loading, about 3 min left"
    assert re.fullmatch(r"\d+ %: loading, about .* left", half)
    assert other == "another: 1 of 2 files"
    assert re.fullmatch(r"\d+ %: drawing(, about .* left)?", drawing)
    assert re.fullmatch(r"\d+ %: drawing(, about .* left)?", quarter)
