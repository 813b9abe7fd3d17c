"""What must hold, and in tests/bench what is measured. No library reports home here either."""

import agent  # noqa: F401 - sets every library's switch before a test imports one
