"""Forms, pages and sentences in the language of their reader, and the catalogues for it."""

from __future__ import annotations

import re
from types import SimpleNamespace

import jinja2
import pytest
from markupsafe import Markup
from traitlets.config import Config

from batchspawner import SlurmSpawner
from batchspawner.spawners.options.schema import OptionsRefused
from batchspawner.spawners.progress.pages import gettext_for
from batchspawner.templating import render_page
from batchspawner.translation import (
    Catalogue,
    best_catalogue,
    catalogues,
    gettext,
    language,
    ngettext,
    read_po,
    translated_by,
)
from tests.catalogues import TEMPLATES, all_texts
from tests.spawners.site import make_spawner

TEXTS = all_texts()
LANGUAGES = sorted(set(catalogues()) - {"en"})
PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}|%(?!\()")
# Words that are the same in that language, and texts that only arrange values.
SAME = {"de": {"Job", "GPUs", "{value} GPU", "{value} GPUs", "GPUs %(type)s"}, "fr": {"Job"}}
SAME["de"] |= {"%(value)s GPU", "Job %(job)s.", "Jobs", "Server", "Starts"}
SAME["fr"] |= {"%(number)s minute", "{value} GPU", "%(value)s GPU", "Job %(job)s.", "Jobs"}
ARRANGED = re.compile(r"[\s():]*(?:(?:\{\w+\}|%\(\w+\)s)[\s():]*)+")


def de() -> Catalogue:
    return catalogues()["de"]


def test_german_and_french_are_shipped():
    assert LANGUAGES == ["de", "fr"]


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_catalogue_has_every_text_and_no_other(name):
    (file,) = catalogues()[name].files
    assert set(file.texts) - {""} == set(TEXTS)
    assert {one: len(file.texts[one]) for one in TEXTS if len(file.texts[one]) != 1} == {
        one: 2 for one, many in TEXTS.items() if many
    }


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_translation_is_one_and_has_the_same_placeholders(name):
    (file,) = catalogues()[name].files
    for text in TEXTS:
        for form in file.texts[text]:
            assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(text)), text
            if not ARRANGED.fullmatch(text) and text not in SAME[name]:
                assert form != text
            assert (form[:1].isspace(), form[-1:].isspace()) == (text[0] == " ", text[-1] == " ")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_words_of_a_template_escape_the_catalogues(path):
    tree = jinja2.Environment(autoescape=True).parse(path.read_text("utf-8"))
    data = "".join(
        one.data if isinstance(one, jinja2.nodes.TemplateData) else "\0"
        for output in tree.find_all(jinja2.nodes.Output)
        for one in output.nodes
    )
    data = re.sub(r"<(script|style)\b.*?(</\1>|$)", "", data, flags=re.DOTALL)
    shown = re.sub(r"<[^<>]*>|^[^<]*>", "", data)
    shown += " ".join(re.findall(r'(?:aria-label|placeholder|title)="([^"\0]+)"', data))
    assert [word for word in re.findall(r"[A-Za-z]{3,}", shown) if word not in WORDS_OF_TAGS] == []


# What is left of tags that conditions are in the middle of.
WORDS_OF_TAGS = {
    *("help", "class", "alert", "info", "warning", "data", "selected", "checked", "required"),
    *(
        "aria",
        "describedby",
        "maxlength",
        "pattern",
        "title",
        "type",
        "value",
        "min",
        "max",
        "kind",
    ),
    *("limits", "text", "placeholder", "number", "step", "inputmode", "numeric", "name", "for"),
}


@pytest.mark.parametrize(
    ("accepted", "site", "name"),
    [
        ("de-CH,de;q=0.9,en;q=0.8", "", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "", "en"),
        ("it, fr-CA;q=0.7, de;q=0.2", "", "fr"),
        ("de;q=0, fr", "", "fr"),
        ("../../etc/passwd, *;q=0.1, de", "", "de"),
        ("", "", "en"),
        ("xx", "", "en"),
        ("de", "fr", "fr"),
        ("de", "it", "en"),
        ("de" * 100000, "", "en"),
    ],
)
def test_the_language_is_the_sites_or_that_of_the_browser(accepted, site, name):
    assert best_catalogue(accepted, site, ()).language == name


def test_a_text_has_its_values_and_is_escaped_only_beside_markup():
    with translated_by(de()):
        assert gettext("choose at most %(amount)s", amount="4G") == "wählen Sie höchstens 4G"
        assert gettext("Left blank: %(value)s.", value=Markup("<b>1</b>")) == Markup(
            "Ohne Angabe: <b>1</b>."
        )
        assert ngettext("%(number)s hour", "%(number)s hours", 1) == "1 Stunde"
        assert ngettext("%(number)s hour", "%(number)s hours", 3) == "3 Stunden"
        assert gettext("Something of a site, 100 %") == "Something of a site, 100 %"
        assert gettext("") == ""
    assert gettext("Memory") == "Memory"
    assert isinstance(gettext("a & %(b)s", b=Markup("<i>")), Markup)
    assert gettext("a & %(b)s", b=Markup("<i>")) == "a &amp; <i>"


def test_french_has_no_plural_of_zero():
    with translated_by(catalogues()["fr"]):
        found = [ngettext("%(number)s day", "%(number)s days", number) for number in (0, 1, 2)]
    assert found == ["0 jour", "1 jour", "2 jours"]


def test_a_site_adds_a_language_and_replaces_words(tmp_path, caplog):
    folder = tmp_path / "locale"
    folder.mkdir()
    (folder / "it.po").write_text('msgid "Memory"\nmsgstr "Memoria"\n', "utf-8")
    (folder / "de.po").write_text('msgid "Account"\nmsgstr "Projekt"\n', "utf-8")
    (folder / "de_CH.po").write_text('msgid "Time"\nmsgstr "Dauer %(x)s"\n', "utf-8")
    (folder / "es.po").write_text("msgid Memory\n", "utf-8")
    site = (str(tmp_path),)
    with translated_by(best_catalogue("it", "", site)):
        assert [gettext("Memory"), gettext("Account"), language()] == ["Memoria", "Account", "it"]
    with translated_by(best_catalogue("de", "", site)):
        assert [gettext("Memory"), gettext("Account")] == ["Arbeitsspeicher", "Projekt"]
    with translated_by(best_catalogue("de-ch", "", site)):
        assert [gettext("Cores"), gettext("Account"), language()] == ["Kerne", "Projekt", "de-CH"]
        # What the translation names is not there.
        assert gettext("Time", y=1) == "Time"
    assert "es.po is not used: line 1" in caplog.text


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ('msgid "a"\nmsgstr "b"', {"a": ("b",)}),
        ('#: x.py:1\nmsgid ""\n"a\\n"\n"\\"b\\""\nmsgstr "c"\n"d"', {'a\n"b"': ("cd",)}),
        ('#, fuzzy\nmsgid "a"\nmsgstr "b"\n\nmsgid "c"\nmsgstr "d"', {"c": ("d",)}),
        ('msgid "a"\nmsgstr ""\n#~ msgid "old"\n#~ msgstr "alt"', {}),
        (
            'msgid "a"\nmsgid_plural "as"\nmsgstr[0] "b"\nmsgstr[1] "bs"\n',
            {"a": ("b", "bs")},
        ),
    ],
)
def test_a_po_file_is_read_as_gettext_reads_it(text, texts):
    assert read_po(text).texts == texts


@pytest.mark.parametrize("text", ['"a"', 'msgctxt "menu"\nmsgid "a"', 'msgid "a', "msgid 'a'"])
def test_what_is_no_po_file_is_refused_with_its_line(text):
    with pytest.raises(ValueError, match="line 1"):
        read_po(text)


def request(accepted: str, **config: object) -> SimpleNamespace:
    """Return a handler as JupyterHub has it, as far as the language depends on it."""
    headers = {"Accept-Language": accepted}
    handler = SimpleNamespace(request=SimpleNamespace(headers=headers))
    handler.config = Config({"BatchSpawnerBase": Config(config)})
    return handler


def spawner_in(accepted: str, **traits: object) -> SlurmSpawner:
    config = {"SlurmSpawner": {"resource_form": True, **traits}}
    spawner = make_spawner(SlurmSpawner, config)
    spawner.handler = request(accepted)
    return spawner


async def test_a_form_is_in_the_language_of_its_request():
    form = await spawner_in("de").own_form()
    for text in ("Arbeitsspeicher", "Wählen Sie mindestens 1M.", "die Vorgabe der Warteschlange"):
        assert text in form
    assert 'lang="de"' in form
    assert 'lang="' not in await spawner_in("en").own_form()
    assert "Mémoire" in await spawner_in("de", language="fr").own_form()
    assert gettext("Memory") == "Memory"


async def test_a_refusal_is_in_the_language_of_the_form():
    spawner = spawner_in("de")
    with pytest.raises(OptionsRefused, match=r"Arbeitsspeicher \(memory\): '4Q' ist nicht erlaubt"):
        await spawner.read_form({"memory": ["4Q"]})
    with pytest.raises(OptionsRefused, match="is not allowed; write an amount such as 4000M"):
        await spawner.take_options({"memory": "4Q"})
    await spawner.own_form()
    # As when a start that has failed ends after the form was shown.
    spawner.handler = None
    with pytest.raises(OptionsRefused, match="'4Q' ist nicht erlaubt"):
        await spawner.read_form({"memory": ["4Q"]})


async def test_a_page_is_in_the_language_of_its_request_and_the_sites_rules():
    class Handler:
        def __init__(self, accepted, **config):
            vars(self).update(vars(request(accepted, **config)))

        def static_url(self): ...

    with translated_by(Catalogue()):
        _ = gettext_for(Handler("de").static_url)
        assert _("Your server is ready") == "Ihr Server ist bereit"
        gettext_for(Handler("de", language="fr").static_url)
        assert language() == "fr"


def test_words_of_a_site_are_looked_up_in_its_catalogue(tmp_path):
    (tmp_path / "locale").mkdir()
    (tmp_path / "page.html").write_text('{{ _("Welcome to %(site)s", site="<A>") }}', "utf-8")
    (tmp_path / "locale" / "de.po").write_text(
        'msgid "Welcome to %(site)s"\nmsgstr "Willkommen bei %(site)s"\n', "utf-8"
    )
    site = (str(tmp_path),)
    with translated_by(best_catalogue("de", "", site)):
        assert render_page("page.html", {}, site) == "Willkommen bei &lt;A&gt;"


async def test_a_form_says_in_which_language_it_was_shown():
    form = await spawner_in("de").own_form()
    assert '<input type="hidden" name="--language" value="de">' in form
    # JupyterHub may read it with a spawner that has seen no request.
    later = make_spawner(SlurmSpawner, {"SlurmSpawner": {"resource_form": True}})
    with pytest.raises(OptionsRefused, match="ist nicht erlaubt"):
        await later.read_form({"memory": ["4Q"], "--language": ["de"]})
    assert "Arbeitsspeicher" in await later.own_form()
    later = make_spawner(SlurmSpawner, {"SlurmSpawner": {"resource_form": True}})
    with pytest.raises(OptionsRefused, match="is not allowed"):
        await later.read_form({"memory": ["4Q"], "--language": ["../x" * 9999]})
