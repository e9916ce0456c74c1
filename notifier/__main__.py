"""`python -m notifier`, and the installed command's entry."""

from notifier.cli import main

if __name__ == "__main__":
    main()
