"""Where the pictures of a collection come from, the memory map they are kept in, and the split of those held out."""
