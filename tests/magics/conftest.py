"""A real IPython, without its history."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


class Notebook:
    """Run cells, and keep what they print."""

    def __init__(self, shell, capsys) -> None:
        self.shell = shell
        self.capsys = capsys

    def run(self, text: str) -> tuple[str, str]:
        """Run a cell, and return what it printed: output, errors."""
        self.result = self.shell.run_cell(text)
        return self.capsys.readouterr()

    def __contains__(self, name: str) -> bool:
        return name in self.shell.user_ns

    def __getitem__(self, name: str):
        return self.shell.user_ns[name]


@pytest.fixture
def configuration():
    return Config()


@pytest.fixture
def notebook(configuration, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    configuration.HistoryManager.enabled = False
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=configuration)
    one = Notebook(shell, capsys)
    assert one.run("%load_ext batchspawner.magics") == ("", "")
    yield one
    InteractiveShell.clear_instance()
