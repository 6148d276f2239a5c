"""Sound bounds on what a network's runtime does on a ladder or a part of it."""
