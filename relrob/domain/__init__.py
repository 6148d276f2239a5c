"""Frozen values: networks, regions, queries, verdicts, records. numpy only, no input or output."""
