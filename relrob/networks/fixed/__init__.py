"""Fixed-point networks in exact integers."""
