"""Labels and margins of many points of a ladder, fast and exact."""
