"""Attacks and transfer as text."""
