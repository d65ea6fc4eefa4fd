"""How a server's secrets reach its job, and nobody else."""
