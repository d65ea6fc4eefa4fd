"""Files by which outsiders build, release and cite the project: they name what is there."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

from batchspawner import __version__

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
RELEASED = ("pyproject.toml", "CITATION.cff", "batchspawner/_version.py")
"""The files in which a release changes the version."""


def read(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: dict) -> list[str]:
    """Return the commands that a workflow runs."""
    jobs = workflow["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_makes_targets_that_there_are(path):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", makefile, re.MULTILINE))
    commands = [re.sub(r"\$\{\{.*?\}\}", "", run) for run in steps(read(path))]
    words = [word for run in commands for word in re.findall(r"^make (.*)", run)]
    made = {target for some in words for target in some.split() if "=" not in target}
    assert made
    assert made <= targets


def test_the_workflow_tests_each_python_that_is_supported():
    matrix = read(ROOT / ".github" / "workflows" / "test.yml")["jobs"]["pythons"]["strategy"]
    named = [
        one.rpartition(" ")[2]
        for one in metadata("batchspawner").get_all("Classifier")
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", one)
    ]
    assert matrix["matrix"]["python"] == named


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_for_issues_asks_something(path):
    form = read(path)
    if path.stem == "config":
        assert [one["url"][:8] for one in form["contact_links"]] == ["https://"] * 2
    else:
        assert all({"type", "attributes"} <= set(one) for one in form["body"])


def test_pre_commit_has_the_formatter_of_the_tests_environment():
    repositories = read(ROOT / ".pre-commit-config.yaml")["repos"]
    (ruff,) = (one for one in repositories if one["repo"].endswith("/ruff-pre-commit"))
    assert [hook["id"] for hook in ruff["hooks"]] == ["ruff-check", "ruff-format"]


def test_read_the_docs_installs_extras_that_there_are():
    (install,) = read(ROOT / ".readthedocs.yaml")["python"]["install"]
    extras = metadata("batchspawner").get_all("Provides-Extra")
    assert set(install["extra_requirements"]) <= set(extras)


def test_every_test_can_be_collected_where_only_the_extra_dev_is_installed():
    requires = [one.replace("-", "_") for one in metadata("batchspawner").get_all("Requires-Dist")]
    extras = [re.match(r"(\w+).*extra == .(\w+)", one) for one in requires]
    by_extra = {(one[2], one[1]) for one in extras if one}
    dev = {name for extra, name in by_extra if extra == "dev"}
    others = {name for extra, name in by_extra if extra in ("browser", "docs")} - dev
    assert "playwright" in others
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                imported = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert not imported & others, path


def test_the_distribution_names_its_home_and_its_authors():
    known = metadata("batchspawner")
    urls = dict(one.split(", ") for one in known.get_all("Project-URL"))
    home = "https://github.com/jupyterhub/batchspawner"
    assert urls == {
        "Homepage": home,
        "Documentation": "https://batchspawner.readthedocs.io",
        "Source": home,
        "Issues": f"{home}/issues",
        "Changelog": f"{home}/blob/main/CHANGELOG.md",
    }
    assert known["License-Expression"] == "BSD-3-Clause"
    assert "Michael Milligan" in known["Author"]


def test_a_release_changes_the_version_in_every_file_that_has_it(tmp_path):
    for name in RELEASED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    git = ("git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "before"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    tbump = [sys.executable, "-m", "tbump", "--non-interactive", "--only-patch", "12.3.4"]
    done = subprocess.run(tbump, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    texts = {name: (tmp_path / name).read_text(encoding="utf-8") for name in RELEASED}
    assert [name for name in RELEASED if "12.3.4" not in texts[name]] == []
    assert [name for name in RELEASED if __version__ in texts[name]] == []
    values: dict = {}
    exec(texts["batchspawner/_version.py"], values)
    assert (values["__version__"], values["version_info"]) == ("12.3.4", (12, 3, 4))
