"""Offer the `batchspawner` command."""
