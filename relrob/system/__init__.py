"""Services of the operating system: files, memory, processes with limits."""
