"""What solvers share to split, order, bound and time their work."""
