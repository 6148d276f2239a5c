"""Critical radii as text, tables and a figure."""
