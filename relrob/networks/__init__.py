"""Networks: load them, run them on a named runtime, fold them onto a region."""
