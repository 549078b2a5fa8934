"""Pages: what they are given is text, unless it says that it is HTML."""

import jinja2
import pytest

from keras_resnet import pictures
from keras_resnet.page import Html, render, table

SCRIPT = "<script>alert('x')</script> & \"y\""


def test_values_are_escaped_and_html_is_not():
    rows = table(SCRIPT, ["name", SCRIPT], [[SCRIPT, SCRIPT], ["b", None]])
    assert "<script>" not in rows and rows.count("&lt;script&gt;") == 5
    picture = pictures.svg(pictures.figure(), SCRIPT)
    assert isinstance(picture, Html) and "<svg role" in picture and "<script>" not in picture
    layers = render("export/layers.html", title="t", words=SCRIPT, date="d", picture=picture, columns=[], entries=[])
    assert picture in layers and "<script>" not in layers


def test_numbers_stand_to_the_right():
    rows = table("c", ["a", "b"], [["x", value] for value in (1, 2.5, "12 %", "+3", "−4", "five", None)])
    assert rows.count('<td class="number">') == 5
    assert "<td>five</td>" in rows and "<td>–</td>" in rows


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("export/layers.html", title="t")


def test_p22_names_break_behind_their_marks_and_headings_stand_over_numbers():
    rows = table("c", ["run", "top-1", "model"], [["runs/a-b/model.keras", "71.1 %", "resnet8"], ["x", None, "y"]])
    assert "runs/<wbr>a-<wbr>b/<wbr>model.<wbr>keras" in rows
    assert '<th scope="col" class="number">top-1</th>' in rows
    assert '<th scope="col">run</th>' in rows and '<th scope="col">model</th>' in rows
    evil = table("c", ["a"], [["<b>/x"]])
    assert "<b>" not in evil and "&lt;b&gt;/<wbr>x" in evil or "&lt;b&gt;/x" in evil


def test_p22_pictures_are_scrolled_where_their_letters_could_not_be_read():
    assert pictures.svg(pictures.figure(), "p").startswith('<div class="scroll picture"><svg role="img"')
