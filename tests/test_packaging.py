"""What an administrator gets from pip, in each of the ways to install."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import venv
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEMPLATES = {path.name for path in (ROOT / "templates").glob("*.j2")}
pytestmark = pytest.mark.packaging


def run(*command, cwd=ROOT) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what git tracks or would track, so that building leaves the tree alone."""
    folder = tmp_path_factory.mktemp("source") / "project"
    names = run("git", "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def built(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ".", cwd=source)
    return folder


def test_the_wheel_holds_templates_types_and_both_packages(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"batchspawner/templates/{name}" for name in TEMPLATES} <= names
    assert {"batchspawner/py.typed", "wrapspawner/py.typed", "wrapspawner/__init__.py"} <= names
    assert not {name for name in names if name.startswith("tests")}


def test_the_wheel_brings_pages_and_what_jupyterlab_finds_by_itself(built):
    (wheel,) = built.glob("*.whl")
    names = {name.partition(".data/data/")[2] or name for name in zipfile.ZipFile(wheel).namelist()}
    assert names >= {
        "batchspawner/templates/hub/home.html",
        "batchspawner/labextension/locale/de_DE/LC_MESSAGES/batchspawner.json",
        "etc/jupyter/jupyter_server_config.d/batchspawner.json",
        "share/jupyter/labextensions/batchspawner/install.json",
        "share/jupyter/labextensions/batchspawner/package.json",
        "share/jupyter/labextensions/batchspawner/schemas/batchspawner/jobs.json",
    }
    assert [name for name in names if fnmatch(name, "*/batchspawner/static/remoteEntry.*.js")]
    assert not [name for name in names if "/ui/" in name]


def test_the_wheel_declares_what_it_needs(built):
    (wheel,) = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = email.message_from_bytes(archive.read(name))
    needs = {line for line in metadata.get_all("Requires-Dist") if "extra" not in line}
    assert {need.replace(" ", "").replace('"', "'") for need in needs} == {
        "jupyterhub<7,>=4.1",
        "traitlets>=5.1",
        "tornado>=6.1",
        "jinja2>=3.0",
        "async_generator>=1.10;python_version<'3.10'",
    }
    assert set(metadata.get_all("Provides-Extra")) >= {
        "all",
        "clusters",
        "dev",
        "functions",
        "kernels",
        "magics",
    }


def test_the_source_archive_can_be_built_again(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {f"templates/{name}" for name in TEMPLATES} <= names
    assert {"setup.py", "LICENSE", "README.md", "templates/__init__.py"} <= names


@pytest.mark.parametrize("way", ["wheel", "sdist", "editable", "strict"])
def test_the_templates_are_found_however_it_is_installed(way, built, source, tmp_path):
    python = tmp_path / "env" / "bin" / "python"
    venv.create(tmp_path / "env", with_pip=True)
    (wheel,), (archive,) = built.glob("*.whl"), built.glob("*.tar.gz")
    what = {
        "wheel": [wheel],
        "sdist": [archive],
        "editable": ["-e", source],
        "strict": ["-e", source, "--config-settings", "editable_mode=strict"],
    }[way]
    run(python, "-m", "pip", "install", "-qq", "--no-deps", *what)
    code = (
        "from importlib.resources import files;"
        "print(sorted(p.name for p in files('batchspawner.templates').iterdir()"
        " if p.name.endswith('.j2')))"
    )
    # -P and another folder: not the source tree by accident.
    assert run(python, "-I", "-c", code, cwd=tmp_path).splitlines() == [str(sorted(TEMPLATES))]
    assert run(tmp_path / "env/bin/batchspawner-queue", "--help", cwd=tmp_path)
