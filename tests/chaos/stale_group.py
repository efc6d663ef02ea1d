"""A control: `lookstream` whose workers say at a commit what their group was at the take; takes the same words."""

from lookstream import main

if __name__ == "__main__":
    main()
