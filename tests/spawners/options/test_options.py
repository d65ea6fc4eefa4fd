"""What a declared option takes, and what it says to what it does not take."""

from __future__ import annotations

import pytest

from batchspawner.errors import OptionsError
from batchspawner.spawners.options.declarations import field_of
from batchspawner.spawners.options.field_kinds import (
    Bool,
    Choice,
    Duration,
    Integer,
    Limit,
    Memory,
    Option,
    Text,
)
from batchspawner.spawners.options.schema import OTHER, Schema

QUEUE = Choice(
    "queue",
    choices=(
        Option("long"),
        Option(
            "debug",
            limits={
                "nprocs": Limit(max=2),
                "runtime": Limit(max="1:00:00"),
                "gpu": Limit(values=("small",)),
            },
        ),
    ),
    default="long",
    required=True,
)
SCHEMA = Schema(
    (
        Integer("nprocs", min=1, max=16, default=4),
        QUEUE,
        Duration("runtime", max="1d", default="8:00:00"),
        Memory("memory", max="64G"),
        Choice("gpu", choices=("big", "small")),
        Bool("exclusive"),
    )
)


@pytest.mark.parametrize(
    ("field", "given", "value"),
    [
        (Text("account"), " phys-1 ", "phys-1"),
        (Text("account"), None, ""),
        (Integer("nprocs"), "007", "7"),
        (Integer("nprocs"), 7, "7"),
        (Memory("memory"), "1.5 TiB", "1536G"),
        (Memory("memory"), "1500mb", "1500M"),
        (Duration("runtime"), "90", "1:30:00"),
        (Duration("runtime"), "1d 12h", "36:00:00"),
        (Duration("runtime"), "1-00:00:30", "24:00:30"),
        (Bool("exclusive"), "on", True),
        (Bool("exclusive"), False, False),
        (Choice("gpu", choices=("a100",)), "a100", "a100"),
        (Choice("gpu", choices=("a100",), other=Text("gpu", pattern="[a-z]+")), "mine", "mine"),
    ],
)
def test_what_is_allowed_gets_the_one_form_that_scripts_know(field, given, value):
    assert field.read(given) == value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nprocs": "99"}, "nprocs: '99' is not allowed; choose from 1 to 16"),
        ({"nprocs": "٣"}, "nprocs: '٣' is not allowed; give a whole number; choose from 1 to 16"),
        (
            {"nprocs": 10**5000},
            "nprocs: 'a very large number' is not allowed; give a text or a whole number",
        ),
        ({"nprocs": True}, "nprocs: True is not allowed; give a text or a whole number"),
        ({"nprocs": ["1"]}, "nprocs: 'list' is not allowed; give a text or a whole number"),
        (
            {"queue": "debug", "nprocs": 3},
            "nprocs: '3' is not allowed; choose from 1 to 2 with queue debug",
        ),
        (
            {"queue": "debug", "gpu": "big"},
            "gpu: 'big' is not allowed; choose one of small with queue debug",
        ),
        ({"queue": "x"}, "queue: 'x' is not allowed; choose one of long, debug"),
        (
            {"memory": "4"},
            (
                "memory: '4' is not allowed; write an amount such as 4000M, 4G or 1.5T; "
                "choose from 1M to 64G"
            ),
        ),
        ({"memory": "65G"}, "memory: '65G' is not allowed; choose from 1M to 64G"),
        ({"runtime": "0"}, "runtime: '0' is not allowed; choose from 1m to 1d"),
        ({"exclusive": "perhaps"}, "exclusive: 'perhaps' is not allowed; choose true or false"),
        (
            {"queue": "long\n#SBATCH --uid=0"},
            (
                r"queue: 'long\n#SBATCH --uid=0' is not allowed; "
                "it must be one line without control characters"
            ),
        ),
        (
            {"colour": "red"},
            (
                "options: 'colour' is not allowed; the options are nprocs, queue, "
                "runtime, memory, gpu, exclusive"
            ),
        ),
        (
            {7: "red"},
            (
                "options: 'int' is not allowed; the options are nprocs, queue, "
                "runtime, memory, gpu, exclusive"
            ),
        ),
        ("all", "options: 'str' is not allowed; give an object of options"),
    ],
)
def test_a_refusal_names_the_option_the_value_and_what_is_allowed(given, message):
    with pytest.raises(OptionsError) as refused:
        SCHEMA.check(given)
    assert str(refused.value) == message


def test_a_long_value_is_quoted_shortly():
    with pytest.raises(OptionsError) as refused:
        Text("account").read("a" * 5000)
    assert str(refused.value) == (
        f"account: '{'a' * 80}…' is not allowed; give at most 200 characters"
    )


@pytest.mark.parametrize("text", ["-rf", "a b", "a;b", "$(id)", "`id`", "{{ 7 }}", "'", '"', "\\"])
def test_a_plain_text_has_nothing_that_a_shell_or_a_directive_reads(text):
    with pytest.raises(OptionsError, match="use letters, digits and"):
        Text("account").read(text)


def test_what_is_not_chosen_is_the_default_cut_to_the_limits_of_the_others():
    assert SCHEMA.check({}) == {
        "nprocs": "4",
        "queue": "long",
        "runtime": "8:00:00",
        "exclusive": False,
    }
    assert SCHEMA.check({"queue": "debug", "gpu": "small"}) == {
        "nprocs": "2",
        "queue": "debug",
        "runtime": "1:00:00",
        "gpu": "small",
        "exclusive": False,
    }


def test_a_checked_choice_passes_the_check_again_unchanged():
    once = SCHEMA.check({"queue": "debug", "memory": "2g", "exclusive": "yes"})
    assert SCHEMA.check(once) == once


def test_a_required_option_without_a_value_is_asked_for():
    with pytest.raises(OptionsError, match="account: '' is not allowed; a value is needed"):
        Schema((Text("account", required=True),)).check({})


def test_the_form_is_filled_with_what_is_still_allowed_of_the_last_choice():
    last = {"queue": "debug", "nprocs": 9, "memory": "2G", "gone": 1}
    assert SCHEMA.restored(last) == {
        "nprocs": "2",
        "queue": "debug",
        "runtime": "1:00:00",
        "memory": "2G",
        "exclusive": False,
    }
    assert SCHEMA.restored(None) == SCHEMA.check({})


def test_a_form_gives_the_last_value_of_each_name_and_the_text_beside_a_list():
    form = {
        "p--exclusive": ["0", "1"],
        "p--gpu": [OTHER],
        f"p--gpu{OTHER}": ["mine"],
        f"p--queue{OTHER}": ["ignored"],
        "other--gpu": ["x"],
        "_xsrf": ["2|abc"],
    }
    assert SCHEMA.from_form(form, "p--") == {"exclusive": "1", "gpu": "mine"}


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: Text("Account"), "cannot be called 'Account'"),
        (lambda: Text("cmd"), "cannot be called 'cmd'"),
        (lambda: Text("environment_file"), "cannot be called 'environment_file'"),
        (lambda: Text("profile"), "cannot be called 'profile'"),
        (lambda: Text("a", pattern="("), "the pattern of the option 'a'"),
        (lambda: Integer("a", max="many"), "a limit of an option is wrong: a: 'many'"),
        (lambda: Integer("a", max=2, default=3), "the default of an option is wrong: a: '3'"),
        (lambda: Schema((Text("a"), Text("a"))), "more than one option has the name 'a'"),
        (lambda: field_of("a"), "a field or a dictionary, not 'a'"),
        (lambda: field_of({"name": "a", "type": "colour"}), "`type` is one of text, integer"),
        (lambda: field_of({"name": "a", "colour": 1}), "has colour; known"),
        (lambda: field_of({"label": "a"}), "has no name; known"),
    ],
)
def test_a_wrong_declaration_is_an_error_that_names_it(declare, message):
    with pytest.raises(ValueError, match=message):
        declare()


def test_a_dictionary_declares_the_same_as_an_object():
    declaration = {
        "name": "gpu",
        "type": "choice",
        "other": {"pattern": "[a-z]+"},
        "choices": ["a", {"value": "b", "limits": {"nprocs": {"max": 2}}}],
    }
    assert field_of(declaration) == Choice(
        "gpu",
        choices=(Option("a"), Option("b", limits={"nprocs": Limit(max=2)})),
        other=Text("gpu", pattern="[a-z]+"),
    )
