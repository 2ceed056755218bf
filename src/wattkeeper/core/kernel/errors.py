"""One base for every error that may reach a person: a code and its parameters, never a sentence.

The sentence is made at the edge (page, API, shell) in the reader's language from `code` and `params`.
"""


class WattkeeperError(Exception):
    """Raised when something can't be done and somebody can act on it.

    `code` is dotted and stable (``installations.overlap``); `params` fill the translated sentence and hold no
    secret. `is_permanent` says whether trying the same again can help.
    """

    def __init__(self, code: str, /, *, is_permanent: bool = True, **params: object) -> None:
        self.code = code
        self.params = params
        self.is_permanent = is_permanent
        super().__init__(f"{code} {params}" if params else code)
