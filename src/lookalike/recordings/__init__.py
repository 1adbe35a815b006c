"""Files people leave behind: made here, and read here as demonstrations."""
