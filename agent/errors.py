"""Errors that stop a command, each one line long: what, which value, and what mends it.

SottoError        a command cannot go on
  SettingsError   a setting is unknown or invalid
  InputError      a file or argument that the user gave is missing or broken
"""


class SottoError(Exception):
    """A command cannot go on; the message is one line for the user. Exit status 1."""

    exit_status = 1


class SettingsError(SottoError):
    """A setting is unknown or invalid; the message names its key. Exit status 2."""

    exit_status = 2


class InputError(SottoError):
    """A file or argument is missing or broken; the message names it. Exit status 2."""

    exit_status = 2
