"""Networks to train, as files, and as something that answers images."""
