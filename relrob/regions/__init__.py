"""Regions of perturbed images as arrays: points, parts, moves and support functions."""
