"""Why there is no server, and what its user can do."""
