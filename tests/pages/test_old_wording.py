"""What readers found stilted, false or unclear was said otherwise, and is not said again."""

from __future__ import annotations

import pytest

from tests.pages.test_site import ROOT

# One line each; on the right what is said instead.
GONE = """
Filters answer | Filters scan it
Feature maps arise | Feature maps light up
Classes are named | It names a class
where the network looked | where the score came from
without what luck would give | without what guessing would reach
about the size of a thumbnail | its size in pixels
choose between settings and tell when to stop | are used to choose settings and to decide when to stop
it has learnt by heart | it has memorised
are not of one kind | cannot be compared
The course’s own loop, played again | The course’s own training loop, run again
opens every file anew | reads every file again
called by their own name | named correctly
mixed with the distance from the teachers | mixed with the distance to the teachers
share a ground, a colour or an outline | nothing: it was never measured
## The other parts | On the training and validation images
Does it know how sure it may be | Can its confidence be believed
No error of zero can be expected | Even a perfectly calibrated network would show
overlooked more often than wrongly called | missed more often than named by mistake
How they came to be | How they grew
that never fire | silent on these photos
rough pixels have a price | rough pixels are penalised
is what the class’s score listens to | what raises the class’s score
a veil takes the place of the padding | a veil stands for the padding
is what one filter answers at each place | holds one filter’s response at each place
are painted like the end | get the end’s colour
Asked by | methods, one answer
weighed by their powers | weighted pixel by pixel
place 11 among its answers | its choice number 11
the square where it harms most | hiding this hurts most
the answer, wherever the square is | the answer stays the same wherever the square is
the brightest in two hundred look alike | the brightest 0.5 % look alike
counts with its strongest place alone | only its strongest place counts
stands best there | does best there
and the whole way | and all steps
by what is bright in all boxes | a table
as on the page before | as on the Grad-CAM pages
as the mean colour does that tells the network nothing | with the data’s mean colour
Then the largest of its neighbours goes on | max pooling keeps the largest
The weights travel as whole numbers | The weights are stored as integers
What was replaced | Substitutions
The weights were won from | were trained on
The address leads to no page of this report | No page of this report has this address
The parts are as they came | The data set came in these parts
confusions tie as the most frequent | its most frequent confusions tie
to one scale that stands below | the scale that the caption tells
Enlarged pictures keep the shared scale | they follow the switch
"""
PHRASES = [line.partition(" | ")[0] for line in GONE.strip().splitlines()]


@pytest.mark.parametrize("phrase", PHRASES)
def test_what_was_said_badly_is_not_said(phrase: str) -> None:
    sources = [
        *ROOT.glob("content/*.md"),
        *ROOT.glob("templates/*"),
        *ROOT.glob("models/*/README.md"),
        *ROOT.glob("generator/**/*.py"),
    ]
    texts = {file: file.read_text("utf-8").replace("'", "’") for file in sources if file.is_file()}
    assert [file.name for file, text in texts.items() if phrase.replace("'", "’") in text] == []
