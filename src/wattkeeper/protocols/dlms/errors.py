"""What can be wrong with DLMS bytes, keys and answers: a stable dotted code and its parameters."""


class DlmsError(ValueError):
    """Base of every error of this package. `params` hold no secret."""

    def __init__(self, code: str, /, **params: object) -> None:
        self.code = code
        self.params = params
        super().__init__(f"{code} {params}" if params else code)


class FrameDamaged(DlmsError):
    """Raised when bytes cannot become a link frame, however many more arrive."""


class ApduDamaged(DlmsError):
    """Raised when a whole APDU or its data breaks the encoding rules or a bound."""


class SecurityFailed(DlmsError):
    """Raised when a ciphered APDU cannot be opened: key absent or wrong, counter replayed, suite unknown."""


class ServiceRefused(DlmsError):
    """Raised when the peer answers that it will not; ``result`` holds the standard's number."""

    def __init__(self, code: str, /, *, result: int) -> None:
        super().__init__(code, result=result)
        self.result = result
