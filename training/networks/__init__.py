"""Networks: new ones to train, those in files, and how they are asked about images."""
