"""What a user may choose of a batch spawner, by form, by address and by the REST API."""

from __future__ import annotations

import re

import pytest
from jupyterhub.utils import maybe_future
from traitlets import Unicode

from batchspawner import LocalQueueSpawner, SlurmSpawner
from batchspawner.queues import Queue
from batchspawner.spawners.options.field_kinds import Integer, Text
from batchspawner.spawners.options.queue_info import QueueInfo
from batchspawner.spawners.options.schema import OptionsRefused
from batchspawner.spawners.traits import options
from tests.spawners.site import apply_options, make_spawner

QUEUES = {
    "debug": {"runtime": "1:00:00", "nprocs": 4, "memory": "16G", "ngpus": 0, "label": "Debug"},
    "long": {"runtime": "2d", "nprocs": 64, "memory": "256G", "ngpus": 2, "help": "For <nights>."},
}
LIVE = QueueInfo(
    (
        Queue("normal", True, True, None, 8, 2**35, 0, 5, 16, 1, 2),
        Queue("gpu", False, True, 600, 16, 2**36, 2, 16, 16, 1, 1),
        Queue("old", False, False, 600, 16, 2**36, 2, 16, 16, 1, 1),
    ),
    3.0,
)


@pytest.fixture(autouse=True)
def offers(monkeypatch):
    """What the scheduler says of its queues; nothing, unless a test says otherwise."""

    async def query(*_):
        return said["offer"]

    said = {"offer": QueueInfo()}
    monkeypatch.setattr(options, "query_queue_info", query)
    return said


def slurm(**traits):
    config = {"resource_form": True, "queue_limits": QUEUES, **traits}
    return make_spawner(SlurmSpawner, {"SlurmSpawner": config})


def form(**fields):
    return {name: [value] for name, value in fields.items()}


async def html_of(spawner) -> str:
    return await spawner.get_options_form()


async def fields_of(spawner) -> list[str]:
    return [field.name for field in (await spawner.option_schema()).fields]


async def test_without_a_word_in_the_configuration_there_is_no_form_and_no_check():
    spawner = make_spawner(SlurmSpawner)
    assert (await html_of(spawner), await spawner.option_schema()) == ("", None)
    await spawner.take_options({"anything": "goes"})


async def test_one_line_of_configuration_gives_a_form_of_all_that_the_script_knows():
    names = ["queue", "nprocs", "memory", "ngpus", "runtime", "account", "reservation"]
    assert await fields_of(slurm()) == names
    local = make_spawner(LocalQueueSpawner, {"LocalQueueSpawner": {"resource_form": True}})
    assert await fields_of(local) == ["nprocs", "runtime"]


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("#SBATCH -c {nprocs}\n{cmd}", ["nprocs"]),
        ("#SBATCH -c {{nprocs}} --mem {{memory}}\n{{cmd}}", ["nprocs", "memory"]),
    ],
)
async def test_a_sites_own_script_has_a_form_of_what_it_names(script, names):
    assert await fields_of(slurm(batch_script=script)) == names


async def test_a_site_with_its_own_form_keeps_it_and_what_comes_back():
    spawner = slurm(options_form="<input name='mine'>")
    assert await html_of(spawner) == "<input name='mine'>"
    assert await maybe_future(spawner.run_options_from_form(form(mine="1"))) == form(mine="1")
    assert await spawner.option_schema() is None


async def test_a_subclass_with_its_own_form_keeps_it_too():
    class Site(SlurmSpawner):
        options_form = Unicode("mine")

        def options_from_form(self, formdata):
            return {"mine": formdata["mine"][0]}

    spawner = make_spawner(Site, {"Site": {"resource_form": True}})
    assert await html_of(spawner) == "mine"
    assert spawner.run_options_from_form(form(mine="1")) == {"mine": "1"}
    assert await spawner.option_schema() is None


async def test_a_choice_by_form_is_a_variable_of_the_script():
    spawner = slurm(req_partition="configured")
    options = await maybe_future(
        spawner.run_options_from_form(form(queue="debug", nprocs="2", memory="2g", runtime="30"))
    )
    assert options == {"queue": "debug", "nprocs": "2", "memory": "2G", "runtime": "0:30:00"}
    await spawner.take_options(options)
    script = await spawner._get_batch_script(**spawner.script_variables())
    assert [line for line in script.splitlines() if re.search("partition|cpus|mem|time", line)] == [
        "#SBATCH --partition=debug",
        "#SBATCH --time=0:30:00",
        "#SBATCH --mem=2G",
        "#SBATCH --cpus-per-task=2",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"queue": "debug", "nprocs": "5"},
            "Cores (nprocs): '5' is not allowed; choose from 1 to 4 with queue debug",
        ),
        ({"queue": "root"}, "queue: 'root' is not allowed; choose one of debug, long"),
        (
            {"prologue": "curl evil"},
            (
                "options: 'prologue' is not allowed; the options are queue, "
                "nprocs, memory, ngpus, runtime, account, reservation"
            ),
        ),
    ],
)
async def test_form_address_and_rest_are_refused_with_the_same_words(options, message):
    spawner = slurm()
    for refuse in (
        lambda: spawner.run_options_from_form(form(**options)),
        lambda: spawner.options_from_query(form(**options)),
        lambda: apply_options(spawner, options),
    ):
        with pytest.raises(OptionsRefused) as refused:
            await maybe_future(refuse())
        said = refused.value
        assert (said.status_code, said.jupyterhub_message) == (400, message)


async def test_an_older_hub_is_refused_the_same_before_anything_is_submitted():
    spawner = slurm()
    spawner.user_options = {"queue": "root"}
    with pytest.raises(OptionsRefused, match="queue: 'root' is not allowed"):
        await spawner.start()
    assert (spawner.job_tag, spawner.job_id) == ("", "")


async def test_the_form_has_the_last_choice():
    spawner = slurm(req_nprocs="2")
    assert 'name="nprocs" value="2"' in await html_of(spawner)
    spawner.user_options = {"queue": "long", "nprocs": "40", "memory": "9999G"}
    html = await html_of(spawner)
    assert re.search(r'<option value="long"[^>]*\s+selected>', html)
    assert 'name="nprocs" value="40"' in html
    assert 'name="memory" value=""' in html


async def test_the_form_is_filled_with_the_allowed_part_of_a_refused_choice():
    spawner = slurm()
    with pytest.raises(OptionsRefused):
        await maybe_future(spawner.run_options_from_form(form(queue="long", nprocs="900")))
    assert re.search(r'<option value="long"[^>]*\s+selected>', await html_of(spawner))
    assert re.search(r'<option value="debug"[^>]*\s+selected>', await html_of(spawner))


async def test_the_form_escapes_what_the_configuration_says():
    html = await html_of(slurm())
    assert "<strong>long</strong>: For &lt;nights&gt;." in html


async def test_without_configured_queues_the_schedulers_are_on_offer_with_their_limits(offers):
    offers["offer"] = LIVE
    spawner = slurm(queue_limits={}, req_runtime="12:00:00")
    schema = await spawner.option_schema()
    queue, cores = schema.fields[:2]
    assert [(one.value, one.label) for one in queue.choices] == [
        ("normal", "normal (5 of 16 cores free)"),
        ("gpu", "gpu (16 of 16 cores free)"),
    ]
    assert (queue.default, cores.max) == ("normal", "16")
    assert schema.check({})["runtime"] == "12:00:00"
    assert schema.check({"queue": "gpu"})["runtime"] == "0:10:00"
    with pytest.raises(
        OptionsRefused, match=r"Cores \(nprocs\): '9' is not allowed; choose from 1 to 8"
    ):
        await spawner.take_options({"nprocs": 9})


async def test_configured_limits_rule_and_the_schedulers_fill_the_gaps(offers):
    offers["offer"] = LIVE
    spawner = slurm(queue_limits={"gpu": {"nprocs": 2}})
    limits = (await spawner.option_schema()).fields[0].choices[0].limits
    assert {name: limit.max for name, limit in limits.items()} == {
        "nprocs": 2,
        "memory": "64G",
        "ngpus": "2",
        "runtime": "0:10:00",
        "shards": "0",
        "gpu_type": None,
    }


async def test_the_form_works_while_the_scheduler_does_not_answer(offers):
    spawner = slurm(queue_limits={})
    html = await html_of(spawner)
    assert 'name="queue"' in html
    assert "What is free" not in html
    await spawner.take_options({"queue": "any", "nprocs": 4})
    assert spawner.chosen == {"queue": "any", "nprocs": "4"}


def test_what_a_user_chose_is_set_by_one_method_only():
    spawner = slurm()
    with pytest.raises(AttributeError):
        spawner.chosen = {"nprocs": "4"}
    spawner.set_chosen({"nprocs": "4"})
    assert spawner.chosen_variables() == {"nprocs": "4"}
    spawner.clear_state()
    assert spawner.chosen is None


async def test_free_cores_are_shown_with_their_age_and_outdated_figures_as_such(offers):
    offers["offer"] = LIVE
    spawner = slurm(queue_limits={"normal": {}, "old": {}})
    html = await html_of(spawner)
    assert "As of 3 s ago." in html
    assert '<th scope="row">old (closed)</th>' in html
    assert '<th scope="row">gpu</th>' not in html
    offers["offer"] = QueueInfo(LIVE.queues, 600.0, is_stale=True)
    html = await html_of(spawner)
    assert "As of 10 minutes ago. The scheduler does not answer now" in html


async def test_where_the_scheduler_chooses_among_its_queues_users_may_leave_it_to_that(offers):
    offers["offer"] = QueueInfo((Queue("a", runtime=600), Queue("b", runtime=60)), 1.0)
    spawner = slurm(queue_limits={})
    queue, *_ = (await spawner.option_schema()).fields
    assert (queue.default, queue.required) == ("", False)
    await spawner.take_options({"runtime": "10m"})
    assert spawner.chosen == {"runtime": "0:10:00"}
    with pytest.raises(OptionsRefused, match="choose from 1m to 10m"):
        await spawner.take_options({"runtime": "11m"})


async def test_accounts_and_reservations_of_the_user_are_a_list_to_choose_from(offers):
    offers["offer"] = QueueInfo(accounts=("phys", "chem"), reservations=("course",))
    spawner = slurm(req_account="chem")
    account, reservation = (await spawner.option_schema()).fields[-2:]
    assert ([one.value for one in account.choices], account.default) == (["phys", "chem"], "chem")
    assert [one.value for one in reservation.choices] == ["course"]
    with pytest.raises(OptionsRefused, match="account: 'math' is not allowed; choose one of phys"):
        await spawner.take_options({"account": "math"})


async def test_gpus_are_not_asked_for_where_no_queue_has_any():
    queues = {"debug": {"ngpus": 0}}
    assert "ngpus" not in await fields_of(slurm(queue_limits=queues))


@pytest.mark.parametrize(
    ("trait", "configured"), [("memory", "4000"), ("runtime", "12:00"), ("account", "a b")]
)
async def test_a_configured_value_that_no_field_writes_stays_in_force(trait, configured):
    spawner = slurm(**{f"req_{trait}": configured})
    await spawner.take_options({})
    assert spawner.script_variables()[trait] == configured


async def test_a_site_declares_fields_of_its_own_and_replaces_ours():
    own = [Integer("nprocs", max=2), {"name": "project", "pattern": "p[0-9]+", "required": True}]
    spawner = slurm(option_fields=own, resource_fields=["queue", "nprocs"])
    assert await fields_of(spawner) == ["queue", "nprocs", "project"]
    await spawner.take_options({"project": "p1"})
    assert spawner.script_variables()["project"] == "p1"
    with pytest.raises(OptionsRefused, match="nprocs: '3' is not allowed; choose from 0 to 2"):
        await spawner.take_options({"project": "p1", "nprocs": 3})


async def test_declared_fields_alone_are_a_form_too():
    spawner = make_spawner(SlurmSpawner, {"SlurmSpawner": {"option_fields": [Text("qos")]}})
    assert await fields_of(spawner) == ["qos"]
    assert 'name="qos"' in await html_of(spawner)


async def test_a_new_start_forgets_the_choice_of_the_one_before():
    spawner = slurm()
    await spawner.take_options({"queue": "debug"})
    spawner.clear_state()
    assert spawner.chosen is None
