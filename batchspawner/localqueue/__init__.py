"""Be a small batch queue for one machine, without a daemon and with nothing to install.

`batchspawner-queue` is its command. All it knows lies in one private folder, in an SQLite file:
whoever submits, asks or ends a job takes the file's lock, looks whether jobs can start, and
starts them. Each running job has a supervisor process of its own, which outlives the submitter,
enforces the walltime and, when its job has ended, starts the next one.
"""
