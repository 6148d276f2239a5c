"""`python -m relrob` is the `relrob` program."""

from relrob.cli import main

if __name__ == "__main__":
    main()
