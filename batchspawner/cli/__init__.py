"""The command `batchspawner`."""
