"""A small batch queue for one machine, without a daemon and with nothing to install.

`batchspawner-queue` is its command. Its state is an SQLite file in one private folder: every
command that submits, queries or cancels a job locks the file, checks whether jobs can start, and
starts them. Each running job has a supervisor process of its own, which outlives the submitter,
enforces the walltime and, when its job has ended, starts the next one.
"""
