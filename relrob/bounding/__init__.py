"""Sound bounds on the outputs of a network's runtime, over a region or a part of one."""
