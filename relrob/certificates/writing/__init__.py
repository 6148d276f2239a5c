"""Writes down what a proof rests on."""
