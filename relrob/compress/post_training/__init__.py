"""Quantise after training."""
