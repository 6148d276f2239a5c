"""Proposes perturbed images; never gives a verdict."""
