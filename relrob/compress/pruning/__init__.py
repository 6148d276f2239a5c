"""Pruning: weights, filters and activations that a network does without."""
