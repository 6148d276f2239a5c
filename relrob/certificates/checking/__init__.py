"""Derives what certificates claim again; shares no code with what proves."""
