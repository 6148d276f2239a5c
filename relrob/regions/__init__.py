"""Regions of perturbed images, as arrays."""
