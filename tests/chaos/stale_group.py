"""A control: `lookstream` whose workers say at a commit what the group was when the batch was taken. Takes its words."""

from lookstream import main

if __name__ == "__main__":
    main()
