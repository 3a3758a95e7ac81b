"""Names of classes on pictures: what is not in Pillow's font is not an empty box."""

import string
import unicodedata

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pinxit.viz import comparisons
from pinxit.viz.comparisons import font, lettering, write

FOREST, SHORE = "\u68ee", "\u6d77\u6ee9"


def drawn(text):
    sheet = Image.new("RGBA", (400, 40), (255, 255, 255, 0))
    write(sheet, text, (4, 20), "lm")
    return np.asarray(sheet)


@pytest.mark.parametrize(("one", "other"), [("été", "ètè"), ("Прага", "Вена!"), (FOREST, SHORE), (FOREST, "\u6797"), ("ß", "é")])
def test_names_that_differ_are_drawn_differently(one, other):
    assert not np.array_equal(drawn(one), drawn(other))


def test_a_letter_that_no_font_has_is_written_as_its_code():
    assert lettering(f"{FOREST} forest")[0] == r"\u68ee forest"
    assert lettering("plage d'été")[0] == "plage d'été"
    assert lettering("\U0001f332")[0] == r"\U0001f332"


def test_accents_apart_from_their_letters_are_drawn_as_one():
    assert np.array_equal(drawn(unicodedata.normalize("NFD", "été")), drawn("été"))


def test_english_is_drawn_as_it_always_was():
    text = "input (mean) 10, -1.5: " + string.ascii_letters
    sheet = Image.new("RGBA", (400, 40), (255, 255, 255, 0))
    ImageDraw.Draw(sheet).text((4, 20), text, fill=comparisons.INK, font=font(), anchor="lm")
    assert np.array_equal(drawn(text), np.asarray(sheet))
    assert lettering(string.printable.strip())[1] is font()
