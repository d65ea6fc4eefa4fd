"""What the user who waits for a server, or has one, reads about it."""
