"""What a form of the site offers, or its function returns, is the choice of its administrator."""

from __future__ import annotations

import inspect

import pytest
from jupyterhub.utils import maybe_future
from traitlets import Unicode

from batchspawner import SlurmSpawner
from batchspawner.errors import OptionsError
from batchspawner.spawners.options.schema import OptionsRefused
from batchspawner.spawners.options.site_form import FormOptions, offers
from tests.spawners.site import apply_options, make_spawner

HTML = """
<select name=account><option>m1759</option><option value="m2">Two</option></select>
<select name=qos><option selected>regular</select>
<input name=reservation><input type=hidden name=srun value="srun">
<textarea name=prologue></textarea>
<input type=RADIO name=options value=a> A <input type=radio name=options value=b> B
"""
SCRIPT = "{account} {qos} {reservation} {prologue} {srun} {homedir} {cmd}"


class Site(SlurmSpawner):
    """A site with a form and a script of its own, and a function that reads the form."""

    options_form = Unicode(HTML).tag(config=True)
    batch_script = Unicode(SCRIPT).tag(config=True)

    def options_from_form(self, formdata):
        return {name: values[0] for name, values in formdata.items()}


class Unread(SlurmSpawner):
    """A site with a form that JupyterHub itself reads."""

    options_form = Unicode(HTML).tag(config=True)
    batch_script = Unicode(SCRIPT).tag(config=True)


async def variables(spawner, options) -> dict:
    spawner.user_options = options
    await apply_options(spawner, options)
    # As a start does again.
    await spawner.take_options(options)
    return spawner.chosen_variables()


async def sent(spawner, **fields) -> dict:
    form = {name: [value] for name, value in fields.items()}
    return await maybe_future(spawner.run_options_from_form(form))


def test_a_form_says_what_it_offers_and_what_the_user_writes():
    assert offers(HTML) == {
        "account": {"m1759", "m2"},
        "qos": {"regular"},
        "reservation": None,
        "srun": {"srun"},
        "prologue": None,
        "options": {"a", "b"},
    }
    disabled = "<select name=a><option disabled value=x>X<option value=''>\n None </select>"
    assert offers(f"<option>y</option><input>{disabled}<b name=c>") == {"a": {""}}


@pytest.mark.parametrize("name", ["account", "reservation", "prologue", "srun"])
async def test_what_the_function_of_the_site_returns_is_taken(name):
    spawner = make_spawner(Site)
    assert await variables(spawner, await sent(spawner, **{name: "any"})) == {name: "any"}


async def test_what_it_returns_is_still_one_plain_value_and_never_what_runs_the_job():
    spawner = make_spawner(Site)
    with pytest.raises(OptionsRefused, match="account: 'x; id' is not allowed"):
        await variables(spawner, await sent(spawner, account="x; id"))
    with pytest.raises(OptionsRefused, match="homedir: '/' is not allowed"):
        await variables(spawner, await sent(spawner, homedir="/"))


@pytest.mark.parametrize("cls", [Site, Unread])
@pytest.mark.parametrize("account", ["m1759", "m2"])
async def test_what_the_form_has_in_a_list_may_come_by_any_way(cls, account):
    assert await variables(make_spawner(cls), {"account": account}) == {"account": account}


@pytest.mark.parametrize("cls", [Site, Unread])
@pytest.mark.parametrize(
    "options", [{"account": "m3"}, {"account": "M1759"}, {"account": ["m1759", "x"]}]
)
async def test_an_account_that_is_not_on_offer_is_refused_if_it_comes_by_rest(cls, options):
    with pytest.raises(OptionsRefused, match=r"account: .* is not allowed"):
        await variables(make_spawner(cls), options)


@pytest.mark.parametrize("cls", [Site, Unread])
async def test_what_users_write_themselves_has_to_come_from_the_form(cls):
    spawner = make_spawner(cls)
    with pytest.raises(OptionsRefused, match="reservation: 'r1' is not allowed"):
        await variables(spawner, {"reservation": "r1"})
    taken = await variables(spawner, await sent(spawner, reservation="r1"))
    assert taken == {"reservation": "r1" if cls is Site else ["r1"]}


async def test_a_field_that_the_form_does_not_have_opens_nothing_where_the_hub_reads_it():
    spawner = make_spawner(Unread, options_form="<input name=qos>")
    with pytest.raises(OptionsRefused, match=r"account: .* is not allowed"):
        await variables(spawner, await sent(spawner, account="m1759"))


async def test_an_address_is_not_the_form():
    spawner = make_spawner(Site)
    options = await maybe_future(spawner.options_from_query({"account": ["m3"]}))
    with pytest.raises(OptionsRefused, match="account: 'm3' is not allowed"):
        await variables(spawner, options)


async def test_what_was_open_once_is_not_open_the_next_time():
    spawner = make_spawner(Site)
    await variables(spawner, await sent(spawner, account="m3"))
    with pytest.raises(OptionsRefused, match="account: 'm3' is not allowed"):
        await variables(spawner, {"account": "m3"})


async def test_a_form_that_fails_offers_nothing():
    def form(spawner):
        return spawner.handler.request.uri

    spawner = make_spawner(SlurmSpawner, options_form=form, batch_script=SCRIPT)
    with pytest.raises(OptionsRefused, match="account: 'm1759' is not allowed"):
        await variables(spawner, {"account": "m1759"})


async def test_an_async_function_of_the_site_is_waited_for():
    class Slow(Site):
        async def options_from_form(self, formdata):
            return {"account": "m9"}

    spawner = make_spawner(Slow)
    read = spawner.run_options_from_form({})
    assert inspect.isawaitable(read)
    options = await read
    assert (options, type(options)) == ({"account": "m9"}, FormOptions)
    assert await variables(spawner, options) == {"account": "m9"}


@pytest.mark.parametrize("value", ["soon", {"x": [1, [2]]}, ["1:00:00"]])
async def test_a_value_that_the_script_cannot_read_is_refused_in_words(value):
    """Without that, the REST API says only that the Hub has had an error."""
    form = {"SlurmSpawner": {"options_form": "<input name=runtime>"}}
    spawner = make_spawner(SlurmSpawner, form, user_options={"runtime": value})
    with pytest.raises(OptionsRefused, match=r"runtime: .* is not allowed") as refused:
        await spawner.start()
    assert refused.value.status_code == 400


async def test_a_value_of_the_configuration_is_not_the_users_to_correct():
    spawner = make_spawner(SlurmSpawner, {"SlurmSpawner": {"req_runtime": "soon"}})
    with pytest.raises(OptionsError, match="runtime: 'soon' is not allowed"):
        await spawner.start()
