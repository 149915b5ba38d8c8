"""Day and time, for records."""

import os
import time
from datetime import UTC, datetime


def now() -> str:
    """UTC, ISO 8601; that of SOURCE_DATE_EPOCH where files must be equal to the bit."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(given) if given.isdecimal() and len(given) < 12 else time.time()
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
