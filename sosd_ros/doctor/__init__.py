"""What of a machine would keep the perception node from working, and how it is mended."""
