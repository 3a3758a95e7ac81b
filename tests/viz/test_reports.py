import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch

from pinxit import viz
from pinxit.core.errors import InputError
from pinxit.viz.html import number
from pinxit.viz.timelines import Sheet

PAPER = {"title": "On <Games> & Nets", "authors": 'A "B" C', "year": 2014, "link": "https://example.org/abs/1?a=1&b=2"}


class Page(HTMLParser):
    """The start tags, and whether every tag was closed in order."""

    void = frozenset({"meta", "img", "source", "br", "link"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def run_folder(path, name="gan", config="", steps=(0, 10, 20)):
    path = path / name
    (path / "samples").mkdir(parents=True)
    for step in steps:
        Sheet.of(torch.zeros(9, 1, 8, 8), step=step, images=10 * step).save(path / "samples" / f"step-{step:09d}.png")
    (path / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": s, "stage": 0, "round": s, "images": s, "g/loss": 1.0}) + "\n" for s in steps)
    )
    (path / "config.yaml").write_text(config or "system: gan\nseed: 3\ndata: {name: pixels}\nconfig: {lr: 0.1}\n")
    figures = [
        {
            "name": "ELBO",
            "value": -104.237,
            "unit": "nats per image",
            "protocol": "2,000 <test> images",
            "standard_error": 0.0312,
        },
        {"name": "parameters", "value": 1234567, "unit": "", "protocol": "all"},
    ]
    (path / "figures.json").write_text(json.dumps(figures))
    for picture in ("strip", "real_beside_fake", "interpolation"):
        viz.grid(torch.zeros(2, 1, 8, 8)).save(path / f"{picture}.png")
    viz.animate([viz.grid(torch.zeros(2, 1, 8, 8))], path / "timeline.webp")
    return path


def test_nothing_is_fetched_and_every_picture_has_a_text(tmp_path):
    page = viz.report([run_folder(tmp_path)], "A run", {"gan": PAPER})
    tags = Page(page).tags
    for tag, attributes in tags:
        assert tag not in ("script", "link", "iframe", "object")
        for name, value in attributes.items():
            if name in ("src", "srcset", "poster", "data", "background", "action") or (name == "href" and tag != "a"):
                assert value.startswith("data:"), (tag, name)
            assert not name.startswith("on")
    assert not re.search(r"url\(|@import", page)
    pictures = [attributes for tag, attributes in tags if tag == "img"]
    assert len(pictures) == 5  # real beside fake, animation, strip, curves, interpolation
    assert all(len(a["alt"]) > 10 and int(a["width"]) and int(a["height"]) for a in pictures)
    assert [a["href"] for tag, a in tags if tag == "a"] == [PAPER["link"]]


def test_all_text_is_escaped(tmp_path):
    nasty = '<script>alert("x")</script>'
    config = f"system: gan\nseed: 3\ndata: {{name: '{nasty}'}}\nnote: '{nasty}'\n"
    page = viz.report([run_folder(tmp_path, "a", config), run_folder(tmp_path, "b", config)], nasty, {"gan": PAPER})
    parsed = Page(page)
    assert "<script" not in page
    assert nasty in "".join(parsed.text)
    assert "On <Games> & Nets" in parsed.text
    assert "2,000 <test> images" in parsed.text


def test_a_link_that_is_no_web_address_is_left_out(tmp_path):
    page = viz.report([run_folder(tmp_path)], "A run", {"gan": PAPER | {"link": "javascript:alert(1)"}})
    assert "javascript" not in page


def test_the_paper_may_stand_in_the_configuration(tmp_path):
    config = "system: gan\npaper: {title: From the folder, authors: D, year: 2015, link: 'https://example.org'}\n"
    folder = run_folder(tmp_path, config=config)
    assert "From the folder" in viz.report([folder], "t")
    assert "From the folder</h1>" not in viz.report([folder], "t", {"gan": PAPER})


@pytest.mark.parametrize(("names", "said"), [("['<cat>', dog]", "0 <cat>, 1 dog."), ("['10', '9']", ""), ("[]", "")])
def test_numbers_above_classes_are_explained_where_they_are_no_names(names, said, tmp_path):
    folder = run_folder(tmp_path, config=f"system: cgan\nclasses: {names}\n")
    viz.grid(torch.zeros(4, 1, 8, 8)).save(folder / "classes.png")
    text = "".join(Page(viz.report([folder], "x")).text)
    assert re.search(r"the latent code is the same\.(.*)", text)[1].strip() == said


def test_several_runs_have_an_overview_that_leads_to_each(tmp_path):
    page = viz.report([run_folder(tmp_path, name) for name in ("one", "two", "three")], "Three")
    tags = Page(page).tags
    ids = [a["id"] for tag, a in tags if tag == "section"]
    assert ids == ["run-1", "run-2", "run-3"]
    assert {a["href"] for tag, a in tags if tag == "a"} == {f"#{i}" for i in ids}
    assert sum(tag == "h1" for tag, _ in tags) == 1
    assert "1,234,567" in page


def test_an_empty_folder_makes_a_page(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in "".join(Page(viz.report([tmp_path / "empty"], "t")).text)


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no run folder .*nowhere"):
        viz.report([tmp_path / "nowhere"], "t")
    with pytest.raises(InputError, match="`run_dirs` is empty"):
        viz.report([], "t")


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1234567, None, "1,234,567"),
        (-104.237, 0.0312, "\N{MINUS SIGN}104.237 ± 0.031"),
        (-2260.29, 13.47, "\N{MINUS SIGN}2,260 ± 13"),
        (0.58716, None, "0.5872"),
        (123456.7, None, "123,457"),
        (0.5, 0.0, "0.5"),
        (float("nan"), None, "not finite"),
        ("soon", None, "soon"),
    ],
)
def test_numbers_have_the_digits_their_error_allows(value, error, text):
    assert number(value, error) == text


def test_importing_viz_is_light():
    heavy = ("torch", "matplotlib", "PIL", "numpy")
    code = f"import sys, pinxit.viz, pinxit.observers; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
