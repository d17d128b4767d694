"""What ``training.adapt`` is made of."""
