"""Which job a kernel runs in: found, submitted, shared, and recorded on disk."""
