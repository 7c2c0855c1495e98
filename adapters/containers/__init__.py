"""Runtimes that put a command into an image."""
