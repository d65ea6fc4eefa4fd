"""The ZMQ proxy in front of a kernel, which answers clients until the kernel runs."""
