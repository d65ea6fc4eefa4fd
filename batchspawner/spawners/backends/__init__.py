"""What speaks with the scheduler on behalf of one server."""
