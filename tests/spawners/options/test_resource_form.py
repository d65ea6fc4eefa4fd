"""What the resource form offers: sensible defaults, GPUs by type, and nothing that is not there."""

from __future__ import annotations

import re

import pytest

from batchspawner import SlurmSpawner
from batchspawner.queues import GpuType, Queue
from batchspawner.spawners.options.queue_info import QueueInfo
from batchspawner.spawners.options.schema import OptionsRefused
from batchspawner.spawners.traits import options
from tests.spawners.site import make_spawner
from wrapspawner import ProfilesSpawner

GB = 2**30
NORMAL = Queue(
    "normal",
    is_default=True,
    cores=8,
    memory=32 * GB,
    gpus=0,
    free_cores=5,
    all_cores=16,
    free_nodes=0,
    all_nodes=2,
    free_memory=48 * GB,
    all_memory=64 * GB,
    free_gpus=0,
    all_gpus=0,
    least_gpus=0,
)
GPU = Queue(
    "gpu",
    runtime=3600,
    cores=16,
    memory=64 * GB,
    gpus=6,
    free_cores=16,
    all_cores=16,
    free_gpus=3,
    all_gpus=6,
    least_gpus=6,
    gpu_types=(
        GpuType("a100", 4, 1, 4),
        GpuType("a100_1g.5gb", 2, 2, 2),
        GpuType("shard", 16, 9, 16),
    ),
)
SECRET = Queue("secret", cores=99, gpus=0, free_cores=1, all_cores=99, least_gpus=0)
PLAIN_GPUS = Queue("gpu", gpus=2, least_gpus=2)


@pytest.fixture(autouse=True)
def offers(monkeypatch):
    """What the scheduler says of its queues."""

    async def query(*_):
        return QueueInfo(tuple(said["queues"]), 1.0)

    said = {"queues": [NORMAL, GPU, SECRET]}
    monkeypatch.setattr(options, "query_queue_info", query)
    return said


def slurm(**traits):
    return make_spawner(SlurmSpawner, {"SlurmSpawner": {"resource_form": True, **traits}})


def in_profile(override, **more):
    profile = {"display_name": "One", "spawner": SlurmSpawner, "override": override, **more}
    profile["override"] = {"resource_form": True, **override}
    return make_spawner(ProfilesSpawner, {"ProfilesSpawner": {"profiles": [profile]}})


async def directives(spawner, given=None) -> list[str]:
    """Return what a choice asks Slurm for."""
    await spawner.take_options(given or {})
    child = getattr(spawner, "child_spawner", None) or spawner
    script = await child._get_batch_script(**child.script_variables())
    wanted = "partition|gres|gpus|time|cpus-per-task"
    return [line[8:] for line in script.splitlines() if re.match(f"#SBATCH --({wanted})=", line)]


def value_of(html: str, name: str) -> str:
    return re.search(rf'name="{name}"\s+value="([^"]*)"', html)[1]


async def test_the_scheduler_writes_to_whom_a_form_of_the_site_asks_for():
    assert 'name="mail_user"' not in await slurm().get_options_form()
    with pytest.raises(OptionsRefused, match="mail_user"):
        await slurm().take_options({"mail_user": "ada@example.org"})
    asks = slurm(resource_fields=["queue", "mail_user"], req_mail_user="hub@example.org")
    assert 'value="hub@example.org"' in await asks.get_options_form()
    await asks.take_options({"mail_user": "ada@example.org"})
    script = await asks._get_batch_script(**asks.script_variables())
    assert "#SBATCH --mail-user=ada@example.org\n#SBATCH --mail-type=BEGIN,FAIL\n" in script
    for value in ("ada", "a@b.de,c@d.de", "ada@example.org --uid=0", "-a@b.de", "a@b.de\nx"):
        with pytest.raises(OptionsRefused, match=r"mail_user|E-mail"):
            await asks.take_options({"mail_user": value})


async def test_a_queue_whose_nodes_all_have_gpus_gives_one_without_being_asked(offers):
    offers["queues"] = [NORMAL, PLAIN_GPUS]
    assert await directives(slurm(), {"queue": "gpu"}) == ["--partition=gpu", "--gpus=1"]
    assert await directives(slurm(), {"queue": "gpu", "ngpus": 0}) == [
        "--partition=gpu",
        "--gpus=0",
    ]
    assert await directives(slurm(), {}) == ["--partition=normal"]


async def test_a_profile_for_gpus_starts_with_one_whatever_the_scheduler_says(offers):
    offers["queues"] = []
    spawner = in_profile({"queue_limits": {"gpu": {"ngpus": 2}}})
    html = await spawner.get_options_form()
    assert value_of(html, "one--ngpus") == "1"
    assert await directives(spawner) == ["--partition=gpu", "--gpus=1"]


async def test_where_only_some_nodes_have_gpus_nobody_gets_one_unasked(offers):
    offers["queues"] = [Queue("all", is_default=True, gpus=2, least_gpus=0)]
    assert await directives(slurm(queue_limits={"all": {"ngpus": 2}})) == ["--partition=all"]


@pytest.mark.parametrize(
    ("traits", "gpus"),
    [
        ({"req_ngpus": "2"}, "2"),
        ({"queue_limits": {"gpu": {"ngpus": 2, "defaults": {"ngpus": 2}}}}, "2"),
        ({"queue_limits": {"gpu": {"defaults": {"ngpus": 0}}}}, "0"),
    ],
)
async def test_the_configured_number_of_gpus_rules(traits, gpus):
    asked = await directives(slurm(**traits), {"queue": "gpu"})
    assert asked == ["--partition=gpu", f"--gpus={gpus}"]


async def test_a_site_sets_the_defaults_of_each_queue():
    limits = {"normal": {"defaults": {"runtime": "2h", "nprocs": 2}}, "secret": {}}
    spawner = slurm(queue_limits=limits)
    assert await directives(spawner) == [
        "--partition=normal",
        "--time=2:00:00",
        "--cpus-per-task=2",
    ]
    assert await directives(spawner, {"queue": "secret"}) == ["--partition=secret"]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"gpu_type": "a100"}, "--gpus=a100:1"),
        ({"gpu_type": "a100_1g.5gb", "ngpus": 2}, "--gpus=a100_1g.5gb:2"),
        ({"ngpus": 6}, "--gpus=6"),
    ],
)
async def test_a_type_of_gpu_and_how_many_is_what_slurm_is_asked_for(given, asked):
    assert await directives(slurm(), {"queue": "gpu", **given}) == ["--partition=gpu", asked]


async def test_shares_of_a_gpu_are_asked_for_by_their_number():
    given = {"queue": "gpu", "ngpus": 0, "shards": 3}
    assert await directives(slurm(), given) == ["--partition=gpu", "--gpus=0", "--gres=shard:3"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gpu_type": "a100", "ngpus": 5}, "choose from 1 to 4 with queue gpu with gpu_type a100"),
        ({"gpu_type": "h100"}, "choose one of a100, a100_1g.5gb"),
        ({"queue": "normal", "gpu_type": "a100"}, "there is nothing to choose with queue normal"),
        ({"queue": "normal", "ngpus": 1}, "'1' is not allowed; choose 0 with queue normal"),
        ({"shards": 17}, "choose from 0 to 16 with queue gpu"),
    ],
)
async def test_more_than_the_queue_has_is_refused_in_words_that_make_sense(given, message):
    with pytest.raises(OptionsRefused, match=re.escape(message)):
        await slurm().take_options({"queue": "gpu", **given})


async def test_without_types_and_shares_nobody_is_asked_for_them(offers):
    offers["queues"] = [NORMAL, PLAIN_GPUS]
    schema = await slurm().option_schema()
    assert [field.name for field in schema.fields] == [
        *("queue", "nprocs", "memory", "ngpus", "runtime", "account", "reservation"),
    ]


async def test_a_time_is_one_of_a_list_or_another_one():
    spawner = slurm(queue_limits={"gpu": {}})
    html = await spawner.get_options_form()
    listed = re.search(r'<select[^>]* name="runtime".*?</select>', html, re.DOTALL)[0]
    assert re.findall(r">([^<>\n]+)</option>", listed) == [
        "(the default of the queue)",
        "30m",
        "1h",
        "Another time",
    ]
    form = {"queue": ["gpu"], "runtime": ["--other"], "runtime--other": ["45m"]}
    assert (await spawner.read_form(form))["runtime"] == "0:45:00"
    assert (await spawner.read_form({"runtime": ["1:00:00"]}))["runtime"] == "1:00:00"
    with pytest.raises(OptionsRefused, match="choose from 1m to 1h"):
        await spawner.read_form({**form, "runtime--other": ["2h"]})


async def test_a_time_of_the_last_start_that_is_not_in_the_list_is_still_there():
    spawner = slurm()
    spawner.user_options = {"runtime": "0:45:00"}
    html = await spawner.get_options_form()
    assert '<option value="--other" selected>Another time</option>' in html
    assert value_of(html, "runtime--other") == "0:45:00"


async def test_every_field_has_a_value_or_says_what_leaving_it_blank_means():
    html = await slurm().get_options_form()
    boxes = html.partition("<style>")[0].split("data-bs-field=")[1:]
    for box in boxes:
        name = re.match(r'"(\w+)"', box)[1]
        means = re.search(
            r'Left blank: <span data-bs-blank="[^"]*">[^<]+<|<option value="">\(', box
        )
        assert means or re.search(r"\sselected>", box), (
            f"{name} may be left blank, and nothing says so"
        )
        assert "no choice" not in box


async def test_what_is_free_is_shown_in_numbers_and_bars_and_only_of_queues_on_offer():
    html = await slurm(queue_limits={"normal": {}, "gpu": {}}).get_options_form()
    assert re.findall(r'data-bs-queue="(\w+)"', html) == ["normal", "gpu"]
    assert "secret" not in html
    bar = r'<span class="bs-bar"[^>]*><i style="([^"]*)"></i></span>'
    rows = re.findall(rf"<span>([^<]*)</span>\s*{bar}\s*<span>([^<]*)", html)
    assert rows == [
        ("Nodes", "width: 100%", "0 of 2 free"),
        ("Cores", "width: 69%", "5 of 16 free"),
        ("Memory", "width: 25%", "48 GB of 64 GB free"),
        ("Cores", "width: 0%", "16 of 16 free"),
        ("GPUs a100", "width: 75%", "1 of 4 free"),
        ("GPUs a100_1g.5gb", "width: 0%", "2 of 2 free"),
        ("Shares of a GPU", "width: 44%", "9 of 16 free"),
    ]


@pytest.mark.parametrize("trait", ["req_gres", "req_ngpus"])
@pytest.mark.parametrize("given", [{"ngpus": 2}, {"gpu_type": "a100"}, {"shards": 1}])
async def test_a_profile_that_sets_gpus_leaves_nothing_of_them_to_choose(trait, given):
    spawner = in_profile({trait: "0"})
    with pytest.raises(OptionsRefused, match=f"'{next(iter(given))}' is not allowed"):
        await spawner.take_options({"queue": "gpu", **given})
    html = await spawner.get_options_form()
    assert not re.search("one--(ngpus|gpu_type|shards)", html)


@pytest.mark.parametrize("given", [{"ngpus": 1}, {"gpu_type": "a100"}, {"shards": 1}])
async def test_a_site_that_allows_no_gpus_allows_no_part_of_one(given):
    limits = {"gpu": {"ngpus": 0}, "normal": {}}
    with pytest.raises(OptionsRefused, match="is not allowed; "):
        await slurm(queue_limits=limits).take_options({"queue": "gpu", **given})


async def test_a_site_that_limits_gpus_allows_shares_by_name():
    with pytest.raises(OptionsRefused, match="'shards' is not allowed"):
        await slurm(queue_limits={"gpu": {"ngpus": 1}}).take_options({"shards": 1})
    spawner = slurm(queue_limits={"gpu": {"ngpus": 1, "shards": 4}})
    await spawner.take_options({"shards": 4})
    with pytest.raises(OptionsRefused, match="choose from 0 to 4"):
        await spawner.take_options({"shards": 5})


@pytest.mark.parametrize("trait", ["req_queue", "req_partition"])
async def test_a_profile_that_sets_the_queue_has_the_limits_of_that_one(trait):
    spawner = in_profile({trait: "normal"})
    html = await spawner.get_options_form()
    assert re.findall(r'data-bs-queue="(\w+)"', html) == ["normal"]
    assert 'name="one--ngpus"' not in html
    with pytest.raises(OptionsRefused, match="choose from 1 to 8"):
        await spawner.take_options({"nprocs": 9})


async def test_a_choice_that_sets_the_queue_leaves_the_limits_of_all_where_another_does_not():
    choices = {"plain": {"display_name": "Plain"}, "gpu": {"override": {"req_queue": "gpu"}}}
    given = {"software": {"display_name": "Software", "choices": choices}}
    spawner = in_profile({}, profile_options=given)
    await spawner.take_options({"software": "plain", "nprocs": 99})
    both = {"a": {"override": {"req_queue": "gpu"}}, "b": {"override": {"req_queue": "normal"}}}
    spawner = in_profile({}, profile_options={"software": {**given["software"], "choices": both}})
    with pytest.raises(OptionsRefused, match="choose from 1 to 16"):
        await spawner.take_options({"software": "a", "nprocs": 17})


async def test_a_queue_that_nobody_chooses_limits_what_users_ask_for():
    spawner = slurm(req_partition="gpu", resource_fields=["nprocs", "runtime"])
    with pytest.raises(OptionsRefused, match="choose from 1m to 1h"):
        await spawner.take_options({"runtime": "2h"})
