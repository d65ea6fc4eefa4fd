"""No value that a user can send reaches a script, a command or a page as anything but a value."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchspawner import SlurmSpawner
from batchspawner.errors import OptionsError
from batchspawner.spawners.options.field_kinds import Bool, Choice, Duration, Integer, Memory, Text
from batchspawner.spawners.options.form import render_options
from batchspawner.spawners.options.queue_info import QueueInfo
from batchspawner.spawners.options.schema import OptionsRefused, Schema
from tests.spawners.site import make_spawner

CORPUS = [
    "x\n#SBATCH --uid=0",
    "x\r\nrm -rf ~",
    "x\0y",
    "x\u2028y",
    "x\x1b[31m",
    "'; id #",
    '" | id',
    "$(id)",
    "`id`",
    "${HOME}",
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "{cmd}",
    "{0.__class__}",
    "<script>alert(1)</script>",
    '" onfocus=alert(1) autofocus x="',
    "&lt;",
    "--uid=0",
    "-rf",
    "a --uid=0",
    "../../etc/passwd",
    "a" * 100_000,
    "9" * 5_000,
    "1e9",
    "0x10",
    "-1",
    "٣",
    "½",
    "\uff11\uff12",
    "1" + "0" * 400 + "G",
    "∞",
    "NaN",
    "",
    " ",
    "\t",
]
GOOD = ["4", "2G", "8:00:00", "phys-1", "1d 12h", "1.5t"]
TEXTS = st.one_of(
    st.sampled_from(GOOD),
    st.sampled_from(CORPUS),
    st.text(),
    st.builds("{}{}".format, st.sampled_from("14x"), st.text()),
)
VALUES = st.recursive(
    st.one_of(TEXTS, st.none(), st.booleans(), st.integers(), st.floats(), st.binary()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
SCHEMA = Schema(
    (
        Text("account"),
        Integer("nprocs", max=64),
        Memory("memory", max="1T"),
        Duration("runtime", max="7d"),
        Bool("exclusive"),
        Choice("gpu", choices=("a100", "v100"), other=Text("gpu", max_length=20)),
    )
)
NAMES = [field.name for field in SCHEMA.fields]
FORMS = {
    "account": r"[A-Za-z0-9_.,:@+/=-]{0,200}",
    "nprocs": r"[0-9]{1,2}",
    "memory": r"[0-9]+[GM]",
    "runtime": r"[0-9]+:[0-9]{2}:[0-9]{2}",
    "gpu": r"[A-Za-z0-9_.,:@+/=-]{1,20}",
}
OPTIONS = st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text()), VALUES, max_size=6)
FAST = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@FAST
@given(OPTIONS)
def test_what_passes_the_check_has_the_form_of_its_field_and_nothing_else(options):
    try:
        values = SCHEMA.check(options)
    except OptionsError as error:
        said = str(error)
        assert len(said) < 1000
        assert said.isprintable()
        return
    assert set(values) <= set(NAMES)
    assert isinstance(values.pop("exclusive"), bool)
    for name, value in values.items():
        assert re.fullmatch(FORMS[name], value, re.ASCII), (name, value)


def finished(coroutine):
    """Return the result of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    return stopped.value.value


class Page(HTMLParser):
    """Collect the elements of a page, and the values of its fields."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.values: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.elements.append((tag, *sorted(found)))
        if "name" in found:
            self.values[found["name"]] = found.get("value", "")


@FAST
@given(TEXTS)
def test_a_page_has_the_same_elements_whatever_is_in_its_fields(text):
    plain = Page(render_options(SCHEMA, {"account": "plain"}, ()))
    page = Page(render_options(SCHEMA, {"account": text}, ()))
    assert page.elements == plain.elements
    assert page.values == {**plain.values, "account": text}


def test_no_choice_adds_or_changes_a_line_of_the_script():
    fields = make_spawner(SlurmSpawner).resource_form_fields(QueueInfo())
    spawner = make_spawner(SlurmSpawner, {"SlurmSpawner": {"option_fields": fields}})
    names = [field.name for field in fields]
    rendered = []

    async def script_for(options):
        try:
            await spawner.take_options(options)
        except OptionsRefused:
            return None
        return await spawner._get_batch_script(**spawner.script_variables())

    @FAST
    @given(st.dictionaries(st.sampled_from(names), TEXTS, max_size=2))
    def holds(options):
        script = finished(script_for(options))
        if script is None:
            return
        rendered.append(script)
        asked = [line for line in script.splitlines() if line.startswith("#SBATCH")]
        assert all(re.fullmatch(r"#SBATCH --[a-z-]+=[A-Za-z0-9_.,:@+/=%-]*", one) for one in asked)
        others = [line for line in script.splitlines() if not line.startswith("#SBATCH")]
        assert [line for line in others if "SRUN_CPUS" not in line and "22.05" not in line] == plain

    plain = finished(script_for({})).splitlines()
    plain = [line for line in plain if not line.startswith("#SBATCH")]
    holds()
    assert len(set(rendered)) > 1
