"""Compression: a float network in, the file of a quantised or pruned network out."""
