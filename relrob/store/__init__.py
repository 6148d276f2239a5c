"""Runs and studies on the disk."""
