"""The texts of JupyterLab's panel, and their catalogues."""

from __future__ import annotations

import json
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

import batchspawner.labextension

EXTENSION = Path(batchspawner.labextension.__file__).parent
SOURCES = sorted((EXTENSION / "ui" / "src").iterdir())
LOCALES = sorted(one.name for one in (EXTENSION / "locale").iterdir())
STRING = r"""(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")"""
ONE = re.compile(rf"trans\.__\(\s*{STRING}")
MANY = re.compile(rf"trans\._n\(\s*{STRING},\s*{STRING}")
PLACEHOLDER = re.compile(r"%\d")
# Words that are the same in that language.
SAME = {
    "de_DE": {"Executor", "GPUs", "Job", "Jobs", "Kernel", "Log", "Name", "Notebooks"},
    "fr_FR": {"Clusters", "Executor", "Job", "Jobs", "Notebooks", "job %1"},
}
UNITS = re.compile(r"[%\d\s]*(?:d|h|min|s)?(?:[%\d\s]*(?:h|min|s))?")


def texts() -> dict[str, int]:
    """Return the number of forms of each text in the sources."""
    found = {}
    for path in SOURCES:
        source = path.read_text("utf-8")
        ones, many = ONE.findall(source), MANY.findall(source)
        # There is no other way to a text than these two, with the text itself beside it.
        assert len(re.findall(r"trans\.\w+\(", source)) == len(ones) + len(many), path.name
        found.update({one or other: 1 for one, other in ones})
        found.update({one[0] or one[1]: 2 for one in many})
    return found


def catalogue(name: str) -> dict[str, list[str]]:
    file = EXTENSION / "locale" / name / "LC_MESSAGES" / "batchspawner.json"
    return json.loads(file.read_text("utf-8"))


def test_german_and_french_are_shipped_for_jupyterlab():
    assert LOCALES == ["de_DE", "fr_FR"]
    points = distribution("batchspawner").entry_points
    (ours,) = [one for one in points if one.group == "jupyterlab.locale"]
    assert (ours.name, ours.load()) == ("batchspawner", batchspawner.labextension)


@pytest.mark.parametrize("name", LOCALES)
def test_a_catalogue_has_every_text_of_the_panel_and_no_other(name):
    known = catalogue(name)
    head = known.pop("")
    assert (head["domain"], head["language"]) == ("batchspawner", name.replace("_", "-"))
    assert {text: len(forms) for text, forms in known.items()} == texts()


@pytest.mark.parametrize("name", LOCALES)
def test_a_translation_differs_from_its_text_only_in_words(name):
    known = catalogue(name)
    del known[""]
    for text, forms in known.items():
        for form in forms:
            assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(text)), text
            if not UNITS.fullmatch(text) and text not in SAME[name]:
                assert form != text


@pytest.mark.parametrize("path", [one for one in SOURCES if one.suffix == ".tsx"], ids=str)
def test_no_words_of_the_panel_escape_the_catalogues(path):
    source = path.read_text("utf-8")
    shown = re.findall(r"<[a-z]\w*(?:\s[^<>]*)?>([^<>{}]*[A-Za-z]{2}[^<>{}]*)</", source)
    shown += re.findall(r'\b(?:aria-label|placeholder|title|label|tooltip)="([^"]+)"', source)
    assert shown == []
