"""Code on the pages, and checks that find names in it that do not exist; nothing is run."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import re
import shlex
from importlib.metadata import metadata
from pathlib import Path
from typing import Callable

import jinja2
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from batchspawner.cli.__main__ import parser as batchspawner_parser
from batchspawner.functions import check as functions_check
from batchspawner.localqueue.__main__ import _parser as queue_parser
from batchspawner.magics.execute import ExecuteMagics
from batchspawner.translation import catalogues, read_po

PROJECT = Path(__file__).parents[2]
PAGES = [
    *sorted(PROJECT.glob("docs/**/*.md")),
    *(PROJECT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
]
FENCED = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CLASSES = [
    "batchspawner",
    "batchspawner.kernels",
    "wrapspawner",
    "jupyterhub.app:JupyterHub",
    "jupyterhub.spawner:Spawner",
    "jupyterhub.proxy",
    "jupyterhub.auth:Authenticator",
    "jupyterhub.auth:DummyAuthenticator",
    "IPython.core.shellapp:InteractiveShellApp",
    "batchspawner.magics.execute:ExecuteMagics",
]
TRAIT = re.compile(r"\bc\.([A-Z]\w+)\.(?!NAME\b)(\w+)")
COMMAND = re.compile(r"(?:\$ )?(?:\w+=\S* )*(?:batchspawner|batchspawner-queue|make|pip|python) ")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks, each with its language; Sphinx's own are not ours to check."""
    found = FENCED.findall(page.read_text(encoding="utf-8"))
    return [(kind, text) for kind, text in found if not kind.startswith("{")]


def shell_lines(page: Path) -> list[str]:
    """Return the commands that a page shows outside of fenced blocks, indented or in a line."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    shown = re.sub(r"\\\n\s*", "", text)
    indented = re.findall(r"^    (\S.*)$", shown, re.MULTILINE)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^    .*$", "", shown, flags=re.MULTILINE))
    return [line for line in (*indented, *inline) if COMMAND.match(line)]


def class_named(name: str) -> type | None:
    """Return a class that a configuration may name."""
    for place in CLASSES:
        module, _, only = place.partition(":")
        if only in ("", name):
            cls = getattr(importlib.import_module(module), name, None)
            if cls is not None:
                return cls
    return None


def wrong_traits(text: str) -> list[str]:
    """Return the settings `c.Class.trait` that do not exist, but for classes of the text itself."""
    own = set(re.findall(r"\bclass (\w+)\(", text))
    wrong = []
    for name, trait in TRAIT.findall(text):
        cls = class_named(name)
        if name not in own and (cls is None or trait not in cls.class_trait_names(config=True)):
            wrong.append(f"c.{name}.{trait} is no trait")
    return wrong


def wrong_python(text: str) -> list[str]:
    """Return what does not compile, and imports of names that do not exist."""
    try:
        tree = compile(text, "page", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except SyntaxError as error:
        return [str(error)]
    return [
        f"{module}.{name} is not there"
        for node in ast.walk(tree)
        for module, name in imported(node)
        if not is_there(module, name)
    ]


def imported(node: ast.AST) -> list[tuple[str, str]]:
    if isinstance(node, ast.Import):
        return [(one.name, "__name__") for one in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(str(node.module), one.name) for one in node.names]
    return []


def is_there(module: str, name: str) -> bool:
    """Return whether a module has a name; modules of others need not be installed."""
    try:
        return hasattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return module.partition(".")[0] not in ("batchspawner", "wrapspawner")


def wrong_notebook(text: str) -> list[str]:
    return wrong_magics(text) or wrong_python(TransformerManager().transform_cell(text))


def wrong_magics(text: str) -> list[str]:
    """Return magics that do not exist, other than those of IPython and ipyparallel."""
    known = {name for kind in ExecuteMagics.magics.values() for name in kind}
    named = re.findall(r"^%%?(\w+)", text, re.MULTILINE)
    return [f"%{name} is no magic" for name in named if name not in {*known, "load_ext", "px"}]


def wrong_catalogue(text: str) -> list[str]:
    """Return the texts of a `.po` file that nothing looks up."""
    (german,) = catalogues()["de"].files
    return sorted(set(read_po(text).texts) - set(german.texts))


def wrong_text(text: str) -> list[str]:
    """Accept cells for the shell, and sudo's rule as the command of the page prints it."""
    if text.startswith("%"):
        return wrong_magics(text)
    words = ["sudoers", "--group", "hub-users", "--hub", "jupyterhub"]
    arguments = batchspawner_parser().parse_args(words)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        arguments.run(arguments)
    return [] if text in printed.getvalue() else ["nothing prints this text"]


def wrong_yaml(text: str) -> list[str]:
    try:
        yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [str(error)]
    return []


def wrong_json(text: str) -> list[str]:
    try:
        json.loads(text)
    except ValueError as error:
        return [str(error)]
    return []


def wrong_template(text: str) -> list[str]:
    try:
        jinja2.Environment(autoescape=False).parse(text)
    except jinja2.TemplateSyntaxError as error:
        return [str(error)]
    return []


def wrong_console(text: str) -> list[str]:
    """Check a session: what comes after a prompt is typed, the rest is printed."""
    lines = re.sub(r"\\\n", "", text).splitlines()
    typed = "\n".join(line[2:] for line in lines if line.startswith("$ "))
    return wrong_shell(typed) if typed else ["nothing is typed in this session"]


def wrong_shell(text: str) -> list[str]:
    return [what for line in text.splitlines() for what in wrong_line(line)]


def wrong_line(line: str) -> list[str]:
    """Return what our programs, make and pip would not understand in a line."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    commands: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("|&;<>()"):
            commands.append([])
        elif commands[-1] or not re.fullmatch(r"[A-Z_]+=.*", word):
            commands[-1].append(word)
    return [what for argv in commands if argv and (what := wrong_command(argv))]


def wrong_command(argv: list[str]) -> str:
    program, *rest = argv
    if program == "python" and rest[:1] == ["-m"]:
        program, *rest = rest[1:]
    check = PROGRAMS.get(program)
    return check(rest) if check else ""


def understood_by(parse: Callable[[list[str]], object]) -> Callable[[list[str]], str]:
    """Return a check of arguments by a parser; a part of a command is enough."""

    def check(words: list[str]) -> str:
        said = io.StringIO()
        words = [word.rstrip("…") for word in words if word.strip("….")]
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            try:
                parse(words)
            except SystemExit as end:
                complaint = said.getvalue().strip().splitlines()[-1:]
                if end.code and "arguments are required" not in "".join(complaint):
                    return "".join(complaint)
        return ""

    return check


def wrong_make(words: list[str]) -> str:
    targets = re.findall(r"^([a-z][\w-]*):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    unknown = [word for word in words if "=" not in word and word not in targets]
    return f"make has no {unknown[0]}" if unknown else ""


def wrong_pip(words: list[str]) -> str:
    """Check the extras of this package that a command installs."""
    extras = metadata("batchspawner").get_all("Provides-Extra")
    asked = re.findall(r"batchspawner\[([^\]]+)\]", " ".join(words))
    unknown = {one for some in asked for one in some.split(",")} - set(extras)
    return f"there is no extra {sorted(unknown)[0]}" if unknown else ""


PROGRAMS = {
    "batchspawner": understood_by(lambda words: batchspawner_parser().parse_args(words)),
    "batchspawner-queue": understood_by(lambda words: queue_parser().parse_args(words)),
    "batchspawner.functions.check": understood_by(functions_check._arguments),
    "make": wrong_make,
    "pip": wrong_pip,
}
CHECKS: dict[str, Callable[[str], list[str]]] = {
    "python": wrong_python,
    "python cell": wrong_python,
    "ipython": wrong_notebook,
    "text": wrong_text,
    "text cell": wrong_magics,
    "json": wrong_json,
    "yaml": wrong_yaml,
    "jinja": wrong_template,
    "po": wrong_catalogue,
    "sh": wrong_shell,
    "console": wrong_console,
}
