"""Configure Sphinx."""

project = "batchspawner"
copyright = "the batchspawner maintainers"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
