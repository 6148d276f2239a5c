"""Keras files, read without Keras: configurations, wiring, layers and weights; and the Keras
runtime."""
