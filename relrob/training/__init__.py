"""Train the reference networks."""
