"""What a network is worth on a set of images: numbers, intervals, tables, files."""
