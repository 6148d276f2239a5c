"""Keras files, read without Keras: configurations, wiring, layers, weights."""
