"""Sentences that are written before anybody reads them, and shown in the reader's language."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from batchspawner.errors import SubmitError
from batchspawner.jobs import JobInfo, JobState
from batchspawner.message import Joined, Message, counted, headed
from batchspawner.spawners.failures.causes import OUT_OF_MEMORY
from batchspawner.spawners.failures.spawn_failure import (
    FailureDetails,
    SpawnFailure,
    failure_of_job,
    failure_of_submit,
    failures_in,
)
from batchspawner.spawners.progress.card import card_of
from batchspawner.spawners.server_job import ServerJob
from batchspawner.translation import Catalogue, PoFile, catalogues, translated, translated_by
from tests.spawners.test_life import begin
from tests.spawners.test_life import until as until_true

DE, FR = catalogues()["de"], catalogues()["fr"]


def in_language(catalogue: Catalogue, value: object) -> object:
    with translated_by(catalogue):
        return translated(value)


def test_a_message_is_its_english_text_for_all_who_do_not_translate_it():
    message = Message("Job %(job)s is held", job="12")
    assert message == "Job 12 is held"
    assert json.dumps([message]) == '["Job 12 is held"]'
    assert f"{message}." == "Job 12 is held."
    assert in_language(DE, message) == "Job 12 ist angehalten"
    assert translated(message) == "Job 12 is held"


def test_values_of_a_message_are_translated_and_other_texts_are_not():
    state = JobInfo("12", JobState.FAILED, reason="held", exit_code=3).describe()
    message = Message("Job %(job)s is %(state)s", job="failed", state=state)
    assert message == "Job failed is failed (held, exit status 3)"
    assert in_language(DE, message) == "Zustand des Jobs failed: gescheitert (held, Exit-Status 3)"


@pytest.mark.parametrize(
    ("number", "english", "german", "french"),
    [
        (0, "0 jobs wait before it", "Davor warten 0 Jobs", "0 job attend avant lui"),
        (1, "1 job waits before it", "Davor wartet 1 Job", "1 job attend avant lui"),
        (2, "2 jobs wait before it", "Davor warten 2 Jobs", "2 jobs attendent avant lui"),
    ],
)
def test_a_message_has_the_form_for_its_number(number, english, german, french):
    message = counted("%(number)s job waits before it", "%(number)s jobs wait before it", number)
    found = [message, in_language(DE, message), in_language(FR, message)]
    assert found == [english, german, french]


def test_no_two_full_stops_follow_each_other_in_any_language():
    held = Message("Job %(job)s is held", job="12")
    message = Joined(". ", [held, Message("Start again with more memory."), "as it is."])
    assert message == "Job 12 is held. Start again with more memory. as it is"
    assert in_language(DE, message) == (
        "Job 12 ist angehalten. Starten Sie noch einmal mit mehr Arbeitsspeicher. as it is"
    )


def test_a_translation_that_names_what_is_not_there_is_not_used():
    site = Catalogue("it", (PoFile({"Job %(job)s is held": ("%(jobb)s, 5 %",)}),))
    assert in_language(site, Message("Job %(job)s is held", job="12")) == "Job 12 is held"
    assert in_language(DE, Message("100 % of a site")) == "100 % of a site"


def test_what_is_saved_of_a_job_are_plain_texts():
    job = ServerJob(id="12")
    job.progressed(20, Message("Job %(job)s is held", job="12"))
    saved = job.to_state()
    (stage,) = saved["story"]
    assert type(stage[1]) is str
    assert ServerJob.from_state(saved).progress == job.progress


async def test_a_card_is_in_the_language_of_each_of_its_readers(spawner, cluster):
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="Resources")
    # The history has it after the headline.
    await until_true(lambda: "Resources" in card_of(spawner)["history"][-1]["text"])
    card = card_of(spawner)
    german, french = in_language(DE, card), in_language(FR, card)
    assert card["headline"] == "Job 1 waits in the queue: Resources"
    assert german["headline"] == "Job 1 wartet in der Warteschlange: Resources"
    assert french["headline"] == "Le job 1 attend dans la file : Resources"
    assert [one["text"] for one in german["history"]][-1] == german["headline"]
    assert {**german, "headline": "", "history": []} == {**card, "headline": "", "history": []}
    task.cancel()


async def test_events_are_in_the_language_of_each_of_their_readers(spawner, cluster):
    task = await begin(spawner)
    cluster.set("1", JobState.PENDING, reason="Resources")
    await until_true(lambda: "Resources" in card_of(spawner)["headline"])
    found = {}
    for name, catalogue in (("de", DE), ("en", catalogues()["en"])):
        with translated_by(catalogue):
            async for event in spawner.progress():
                if "Resources" in event.get("message", ""):
                    found[name] = event
                    break
    # Other tests may have left their waits, of which more is told.
    german, english = (found[name]["message"].split(". ")[0] for name in ("de", "en"))
    assert german == "Job 1 wartet in der Warteschlange: Resources"
    assert found["de"]["batchspawner"]["headline"] == german
    assert english == "Job 1 waits in the queue: Resources"
    task.cancel()


def ended(**facts) -> SpawnFailure:
    status = JobInfo("12", JobState.OUT_OF_MEMORY, start=1.0, **facts)
    return failure_of_job(ServerJob(id="12"), status, "last words", lambda: "http://hub/api")


def test_one_failure_is_in_the_language_of_each_of_its_readers_and_english_in_the_log():
    failure = ended(exit_code=75)
    with translated_by(DE):
        assert failure.jupyterhub_message == (
            "Der Job brauchte mehr Arbeitsspeicher, als er angefordert hatte. Der Job ist zu Ende: "
            "zu wenig Arbeitsspeicher (Exit-Status 75). Sein Knoten konnte den Hub unter "
            "http://hub/api nicht erreichen. Starten Sie noch einmal mit mehr Arbeitsspeicher. "
            "Job 12. Es endet mit:\nlast words"
        )
        assert str(failure).startswith("The job needed more memory than it had asked for. The job")
    with translated_by(FR):
        assert "<summary>La fin de son journal</summary>" in failure.jupyterhub_html_message
    assert str(failure) == failure.jupyterhub_message


def test_a_failure_is_in_the_language_of_who_started_where_no_other_reader_is_known():
    with pytest.raises(SpawnFailure) as caught, failures_in(DE):
        raise ended()
    text, html = caught.value.jupyterhub_message, caught.value.jupyterhub_html_message
    assert text.startswith("Der Job brauchte mehr Arbeitsspeicher")
    assert html.startswith("<strong>Der Job brauchte mehr Arbeitsspeicher")
    assert str(caught.value).startswith("The job needed more memory")
    with translated_by(FR):
        assert caught.value.jupyterhub_message.startswith("Le job a eu besoin")


def test_what_others_wrote_is_escaped_in_a_translated_failure():
    details = FailureDetails(OUT_OF_MEMORY, Message("%(x)s", x="<b>"), "12", "/<i>", "<script>")
    with translated_by(DE):
        html = SpawnFailure(details=details).jupyterhub_html_message
    assert "&lt;b&gt;" in html
    assert "Sein Protokoll ist /&lt;i&gt;." in html
    assert "<script>" not in html


def test_the_words_of_a_scheduler_stay_as_they_are():
    failure = failure_of_submit("the local queue", SubmitError("no slots"))
    with translated_by(DE):
        assert "No slots. Versuchen Sie es später" in failure.jupyterhub_message


@pytest.mark.parametrize(
    "message",
    [
        Message("Job %(job)s is held", job="12"),
        counted("%(number)s job", "%(number)s jobs", 2),
        Joined(", ", [Message("held"), Message("by %(who)s", who="ada")]),
        headed(Message("Held"), "100 % sure"),
    ],
)
def test_a_message_can_be_copied_and_is_a_plain_text_elsewhere(message):
    assert copy.deepcopy({"why": message})["why"] is message
    sent = pickle.loads(pickle.dumps(message))
    assert (type(sent), sent) == (str, str(message))
