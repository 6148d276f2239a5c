"""What an audit found, as text."""
