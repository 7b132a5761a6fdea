"""One file per field: each reads a page and says what it found, on which line, how surely."""
