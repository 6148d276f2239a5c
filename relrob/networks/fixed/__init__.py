"""Fixed-point networks in exact integers, and their files."""
