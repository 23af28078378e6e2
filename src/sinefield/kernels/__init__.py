"""The same numbers sooner: operations with a derivative written by hand."""
