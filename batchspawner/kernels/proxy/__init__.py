"""The ZMQ proxy in front of a kernel, which answers until the kernel is there."""
