"""The one door to the solvers: what they propose is replayed before it is a verdict."""
