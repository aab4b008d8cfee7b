"""What makes a row a bad line."""


class RowError(ValueError):
    """A row does not hold what its preset reads; the text says what is missing or wrong."""
