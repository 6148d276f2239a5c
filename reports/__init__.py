"""Reports of runs, and the programs that made them."""
