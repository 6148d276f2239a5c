"""Bit-exact emulators of the kernels that execute quantised networks."""
