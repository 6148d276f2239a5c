"""The commands in Python: one module a command."""
