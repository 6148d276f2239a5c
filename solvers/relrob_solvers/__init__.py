"""Decision procedures, one file each; none imports another."""
