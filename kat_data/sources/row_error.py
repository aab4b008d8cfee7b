"""What makes a row a bad line."""

from kat_data.domain.bad_line import BadCode


class RowError(ValueError):
    """A row does not hold what its preset reads; the text says what is missing or wrong, the code what is counted."""

    def __init__(self, text: str, code: BadCode = BadCode.MISFIT) -> None:
        super().__init__(text)
        self.code = code
