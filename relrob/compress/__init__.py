"""Quantisation: a float network in, the file of a quantised network out."""
