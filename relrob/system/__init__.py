"""What relrob asks of the operating system."""
