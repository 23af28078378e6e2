"""What a code is read with from the pixels that are seen of a picture, one per file."""
