"""What is wrong with data."""


class DataError(ValueError):
    """A data set that cannot be used; the message names the file and what to do."""
