"""Training of reference networks: architectures, recipes, and the cache of trained networks."""
