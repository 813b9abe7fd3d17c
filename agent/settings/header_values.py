"""Settings that are sent in a header: tokens and keys."""

import re
from typing import Annotated

from pydantic import AfterValidator, SecretStr

# RFC 9110, 5.5; more than these some servers and libraries refuse, in messages that repeat them.
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def as_header(value: SecretStr) -> SecretStr:
    """What is sent in a header, without white space around it.

    Raises:
        ValueError: No header may hold it; the message does not repeat it.
    """
    text = value.get_secret_value().strip()
    if not _HEADER_VALUE.fullmatch(text):
        raise ValueError("it holds characters that no header may have: ASCII without line ends")
    return SecretStr(text)


HeaderValue = Annotated[SecretStr, AfterValidator(as_header)]
# None where it is empty.
Token = Annotated[SecretStr | None, AfterValidator(lambda value: (value and as_header(value)) or None)]
