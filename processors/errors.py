"""Errors of the engines and steps.

EngineError                 a stage's engine could not do its work
  EngineHungError           it did not come back from its work
  MendedError               it failed, and what it was to do was done all the same
  EngineUnavailableError    it cannot be used at all: a model, library or server is missing
  UnsupportedRequestError   this request asks for what the engine cannot do
"""


class EngineError(Exception):
    """An engine failed at its work; the message is one line and names what failed."""


class EngineHungError(EngineError):
    """An engine did not come back from its work."""


class MendedError(EngineError):
    """An engine failed, and what it was to do was done all the same: told, but not apologised for."""


class EngineUnavailableError(EngineError):
    """An engine cannot be used; the message names what is missing and `mend` the command that helps.

    Args:
        message: One line: what, and which value.
        mend: The command (or the sentence) that mends it, shown after the message.
    """

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(f"{message}: {mend}" if mend else message)
        self.reason = message
        self.mend = mend


class UnsupportedRequestError(EngineError):
    """The engine works, but cannot do what was asked, such as a language; the message says so and what helps.

    Args:
        message: One line.
        parameter: Which part of the request it is, such as `language`.
    """

    def __init__(self, message: str, parameter: str) -> None:
        super().__init__(message)
        self.parameter = parameter


def one_line(error: BaseException) -> str:
    """What an error of a library says, without line breaks; one without words is named."""
    if isinstance(error, MemoryError):
        return "out of memory"
    return " ".join(str(error).split()) or type(error).__name__
