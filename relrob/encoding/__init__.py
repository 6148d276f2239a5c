"""A query as rows of a linear program, or as SMT-LIB."""
