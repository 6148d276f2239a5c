"""Keras models of the architectures, a file a family."""
