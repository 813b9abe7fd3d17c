"""Settings as the command line has them: `--set key=value`."""

import re

from agent.errors import SettingsError
from agent.settings.load import setting_keys

_LOOKS_LIKE_A_NAME = re.compile(r"[a-z_.]{1,60}")


def parse_assignment(text: str) -> tuple[str, str]:
    """Split a `--set key=value` argument.

    Raises:
        SettingsError: There is no `=`, or the key is unknown.
    """
    key, equals, value = text.partition("=")
    if not equals:
        # What is no setting's name may be a key that somebody has pasted.
        shown = f" {key}" if key in setting_keys() else ""
        raise SettingsError(f"--set{shown}: expected key=value, such as --set stt.language=en")
    if key not in setting_keys():
        shown = f": {key}" if _LOOKS_LIKE_A_NAME.fullmatch(key) else " before the = of --set"
        raise SettingsError(f"unknown setting{shown} (`sotto doctor` lists every setting)")
    return key, value
