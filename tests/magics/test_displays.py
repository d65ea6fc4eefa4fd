"""What a Python cell shows in a notebook: pictures, HTML, updates, as if the kernel had run it."""

from __future__ import annotations

import base64
import importlib.util
import json
import sys

import pytest

from batchspawner.magics import worker
from batchspawner.magics.displays import Display
from batchspawner.magics.record import CellRecord, MessageExtractor
from tests.magics.test_notebook import Run, queue, until_released

__all__ = ["queue"]

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
CELL = "%%execute --python --wlm=local --amgr=cell\n"

PICTURE = f"""
class Picture:
    def _repr_png_(self): return {PNG!r}
    def _repr_html_(self): return "<b>picture</b>"
    def __repr__(self): return "a picture"
"""


async def shown(*cells: str) -> list[list[dict]]:
    """Run cells, and return what is below each but the progress of jobs."""
    async with Run(*cells) as run:
        pass
    return [joined(cell.outputs) for cell in run.notebook.cells[1:]]


def joined(outputs: list[dict]) -> list[dict]:
    """Return outputs but for the progress, the pieces of a text together as a front end has it."""
    found: list[dict] = []
    for one in outputs:
        if found and one["output_type"] == "stream" and found[-1].get("name") == one["name"]:
            found[-1]["text"] += one["text"]
        elif "End batch job" not in str(one):
            found.append(one)
        # It ends base64 with a line break.
        if "image/png" in one.get("data", {}):
            one["data"]["image/png"] = one["data"]["image/png"].strip()
    return found


def bundle(data: dict[str, str], **metadata: object) -> dict[str, object]:
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def stream(name: str, text: str) -> dict[str, object]:
    return {"output_type": "stream", "name": name, "text": text}


PICTURE_BUNDLE = bundle(
    {
        "text/plain": "a picture",
        "text/html": "<b>picture</b>",
        "image/png": base64.b64encode(PNG).decode(),
    }
)


async def test_a_cell_shows_the_representations_of_its_last_value(queue):
    (outputs,) = await shown(f"{CELL}{PICTURE}\nPicture()")
    assert outputs == [PICTURE_BUNDLE]


async def test_what_is_printed_and_shown_appears_in_order_each_in_its_stream(queue):
    body = (
        "import sys, time\n"
        "from IPython.display import HTML\n"
        "print('first')\n"
        "display(HTML('<i>second</i>'), metadata={'isolated': True})\n"
        "print('third', end='')\n"
        "'fourth'"
    )
    (outputs,) = await shown(CELL + body)
    html = {"text/html": "<i>second</i>", "text/plain": "<IPython.core.display.HTML object>"}
    assert outputs == [
        stream("stdout", "first\n"),
        bundle(html, isolated=True),
        stream("stdout", "third"),
        bundle({"text/plain": "'fourth'"}),
    ]


async def test_errors_are_shown_as_errors(queue):
    (outputs,) = await shown(f"{CELL}import sys; print('wrong', file=sys.stderr)")
    assert outputs == [stream("stderr", "wrong\n")]


async def test_a_display_is_updated_in_place_while_the_job_runs(queue, tmp_path):
    release, _ = until_released(tmp_path)
    body = (
        "import os, time\n"
        "bar = display('begin', display_id='bar')\n"
        "bar.update('half')\n"
        f"while not os.path.exists({str(release)!r}): time.sleep(0.05)\n"
        "bar.update('end')"
    )
    async with Run(CELL + body, "cell.log()") as run:
        await run.until(1, lambda texts: texts[1:] == ["'half'"])
        release.touch()
    assert run.texts(1)[1:] == ["'end'"]
    assert run.texts(2) == [repr("'begin'\n'end'\n")]


@pytest.mark.parametrize("wait", [True, False])
async def test_the_output_is_cleared_and_the_progress_stays(queue, wait):
    body = (
        "from IPython.display import clear_output\n"
        f"for number in range(3): clear_output(wait={wait}); print('line'); display(number)"
    )
    async with Run(CELL + body) as run:
        pass
    assert run.texts()[0].splitlines()[-1] == "End batch job 1 Status:  COMPLETED"
    assert joined(run.notebook.cells[1].outputs) == [
        stream("stdout", "line\n"),
        bundle({"text/plain": "2"}),
    ]


async def test_matplotlib_draws_the_figures_of_a_cell(queue):
    pytest.importorskip("matplotlib")
    figure = "import matplotlib.pyplot as plt\nplt.plot([1, 2]);"
    shows = f"{figure}\nplt.show()\nprint('between')\nplt.plot([2, 1]);"
    fails = f"{figure}\n1 / 0"
    outputs = await shown(CELL + figure, CELL + shows, CELL + fails)
    pictures = [["image/png" in one.get("data", ()) for one in cell] for cell in outputs]
    assert pictures[:2] == [[True], [True, False, True]]
    assert pictures[2].count(True) == 1


async def test_pictures_of_a_cell_in_the_background_are_shown_on_request(queue):
    begin = f"{CELL.rstrip()} --bg --jobid=job\n{PICTURE}\nprint('see'); Picture()"
    cells = (begin, "cell.wait_progress(silent=True)", "cell.display_outputs()", "%joblog 1")
    _, _, outputs, log = await shown(*cells)
    assert (outputs, log) == ([stream("stdout", "see\n"), PICTURE_BUNDLE],) * 2


async def test_pictures_can_be_captured(queue):
    captured = f"%%capture captured\n{CELL}{PICTURE}\nPicture()"
    cells = (captured, "[list(one.data) for one in captured.outputs]")
    _, (kinds,) = await shown(*cells)
    assert kinds["data"]["text/plain"] == "[['text/plain', 'text/html', 'image/png']]"


def test_a_terminal_gets_the_text(notebook):
    out, err = notebook.run(f"%%execute --python\n{PICTURE}\ndisplay(Picture()); Picture()")
    assert (out, err) == ("a picture\na picture\n", "")


@pytest.mark.parametrize("ending", ["7;", "7;  # comment\n\n", "a = 7"])
def test_a_semicolon_at_the_end_shows_nothing(notebook, ending):
    assert notebook.run(f"%%execute --python\nif True:\n    pass\n{ending}") == ("", "")


def test_a_large_display_is_whole_whatever_other_threads_print(notebook):
    body = (
        "import os, threading\n"
        "ended = threading.Event()\n"
        "def talk():\n"
        "    while not ended.is_set(): os.write(1, b'talk ')\n"
        "talker = threading.Thread(target=talk); talker.start()\n"
        "class Large:\n"
        "    def __repr__(self): return 'x' * 300_000\n"
        "display(Large())\n"
        "ended.set(); talker.join()"
    )
    out, err = notebook.run(f"%%execute --python\n{body}")
    # A line break follows what ends without one.
    assert (err, out.replace("talk ", "").rstrip("\n")) == ("", "x" * 300_000)


def test_a_process_that_the_cell_has_forked_prints_what_it_shows(notebook):
    body = (
        "import os\n"
        "child = os.fork()\n"
        "if not child: display('child'); print(flush=True, end=''); os._exit(0)\n"
        "os.waitpid(child, 0)\n"
        "'parent'"
    )
    assert notebook.run(f"%%execute --python\n{body}") == ("'child'\n'parent'\n", "")


def test_names_of_python_are_as_in_python(notebook):
    body = "print([exit.__class__.__module__, open.__module__, 'In' in globals()]); exit(3)"
    out, _ = notebook.run(f"%%execute --python\n{body}")
    # The module of `open` has another name in Python 3.13.
    assert out == f"['_sitebuiltins', {open.__module__!r}, False]\nexit status 3\n"


def test_a_python_without_ipython_prints_values(notebook, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", worker.INLINE_BACKEND)
    line = f"%%execute --python --shell='{sys.executable} -S'"
    body = "import os; print(os.environ.get('MPLBACKEND')); ['value']"
    assert notebook.run(f"{line}\n{body}") == ("None\n['value']\n", "")
    assert importlib.util.find_spec("IPython") is not None


def displays(record: CellRecord) -> list[tuple[str, bool]]:
    return [(one.text, one.display is not None) for one in record.pieces]


def test_what_an_update_or_a_clearing_replaces_is_forgotten():
    record = CellRecord()
    for text in ("1", "2", "3"):
        record.append_display(Display({"text/plain": text}, display_id="a", update=text > "1"))
    assert displays(record) == [("1\n", True), ("", False), ("3\n", True)]
    record.append("stdout", "text")
    record.append_display(Display(clear=True))
    record.append_display(Display({"text/plain": "4"}))
    gone = ("", False)
    assert displays(record) == [gone] * 3 + [("text", False), ("", True), ("4\n", True)]


def test_elements_of_an_array_update_their_own_displays():
    record = CellRecord(lambda: MessageExtractor(b"\0mark"))
    content = json.dumps({"data": {"text/plain": "x"}, "display_id": "bar"}).encode()
    message = worker.DISPLAY + worker.digest(content) + content
    for element in ("1", "2", ""):
        data = b"\0mark\1" + len(message).to_bytes(2, "big") + message
        record.source(element).write("stdout", data)
    assert [one.display.display_id for one in record.pieces] == ["bar-1", "bar-2", "bar"]
