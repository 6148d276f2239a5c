"""Records in, tables and pictures out. Pure: nothing here solves."""
