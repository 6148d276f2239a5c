"""Compression while a network is trained."""
