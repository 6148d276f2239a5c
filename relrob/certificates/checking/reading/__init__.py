"""The checker's own readers of network files: a closed world, in which whatever is not known
exactly has no rules."""
