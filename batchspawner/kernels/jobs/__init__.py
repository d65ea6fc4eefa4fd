"""The job that a kernel lives in: found, made, shared and remembered."""
