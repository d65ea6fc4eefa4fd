"""What is wrong with a site, and which line of its configuration fixes it: `batchspawner check`."""
