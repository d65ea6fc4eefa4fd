"""``python -m batchspawner.functions.compat script.py``: a script of slurminade, unchanged.

This folder is on the import path of the script and of its jobs, before installed packages.
"""
