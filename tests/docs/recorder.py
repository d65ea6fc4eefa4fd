"""Recordings of a terminal: as an asciicast, and as an animated picture."""

from __future__ import annotations

import json
import re
import time
from html import escape

COLUMNS, ROWS = 76, 27
_CHARACTER, _LINE, _EDGE = 8.4, 19, 14
_REST = 4.0
"""Seconds for which the end is shown, before the picture starts again."""

_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"
 width="{width}" height="{height}" role="img" aria-label="{title}">
<title>{title}</title>
<style>
text {{ font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
 fill: #d8dee9; white-space: pre }}
.typed {{ fill: #a3d977 }}
@media (prefers-reduced-motion: no-preference) {{
text {{ animation: {seconds:.2f}s step-end infinite }}
{frames}
}}
</style>
<rect width="100%" height="100%" rx="8" fill="#1f2430"/>
"""


class Recorder:
    """The file to which pexpect copies what it reads, with the times at which it came."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.events: list[tuple[float, str]] = []

    def write(self, text: str) -> None:
        self.events.append((round(time.monotonic() - self.begun, 3), text))

    def flush(self) -> None:
        """Do nothing; pexpect calls it after each write."""

    def cast(self) -> str:
        """Return the recording as an asciicast, version 2."""
        head = {"version": 2, "width": COLUMNS, "height": ROWS}
        lines = [head, *([at, "o", text] for at, text in self.events)]
        return "".join(f"{json.dumps(line)}\n" for line in lines)


def pieces(cast: str) -> list[tuple[float, int, int, str]]:
    """Return what appears when, and at which row and column of a terminal.

    A line that a program takes back, such as that of a progress bar, is left out: whether it
    appears at all depends on how long something takes.
    """
    row = column = 0
    found: list[tuple[float, int, int, str]] = []
    for line in cast.splitlines()[1:]:
        at, _, text = json.loads(line)
        for part in re.split(r"(\r|\n)", text):
            if part == "\r":
                column = 0
            elif part == "\n":
                row += 1
            elif part:
                if column == 0:
                    found = [one for one in found if one[1] != row]
                if column or part.strip(" "):
                    found.append((at, row, column, part))
                column += len(part)
    return found


def screen(printed: str) -> str:
    """Return what a terminal shows at the end: a line that was taken back is not there."""
    lines = []
    for line in printed.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip(" ") if "\r" in line else shown)
    return "\n".join(lines)


def picture(cast: str, title: str) -> str:
    """Return a recording as an animated SVG, in which each piece of text appears when it did."""
    shown = pieces(cast)
    seconds = shown[-1][0] + _REST
    frames, texts = [], []
    for at in sorted({piece[0] for piece in shown}):
        percent = f"{100 * at / seconds:.2f}%"
        name = f"t{round(at * 1000)}"
        frames.append(
            f"@keyframes {name} {{ 0% {{ opacity: 0 }} {percent} {{ opacity: 1 }} }}\n"
            f".{name} {{ animation-name: {name} }}"
        )
    prompts = {row for _, row, column, text in shown if column == 0 and text.startswith("$ ")}
    for at, row, column, text in shown:
        typed = " typed" if row in prompts else ""
        x, y = _EDGE + column * _CHARACTER, _EDGE + (row + 0.8) * _LINE
        length = f'textLength="{len(text) * _CHARACTER:.1f}"'
        name = f"t{round(at * 1000)}"
        texts.append(f'<text x="{x:.1f}" y="{y:.1f}" {length} class="{name}{typed}">')
        texts[-1] += f"{escape(text)}</text>"
    head = _HEAD.format(
        width=round(2 * _EDGE + COLUMNS * _CHARACTER),
        height=2 * _EDGE + ROWS * _LINE,
        title=escape(title),
        seconds=seconds,
        frames="\n".join(frames),
    )
    return head + "\n".join(texts) + "\n</svg>\n"
