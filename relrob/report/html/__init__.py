"""report.html: a run, an audit or a study as one file that needs nothing beside it."""
