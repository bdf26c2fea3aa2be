"""Asks the service in this container how it is; exit code 0 when it answers that it lives."""

import os
import sys
import urllib.error
import urllib.request

port = os.environ.get("REGIMES__WEB__PORT") or os.environ.get("PORT") or "8000"
try:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=4) as answer:
        sys.exit(answer.status != 200)
except (urllib.error.URLError, OSError) as error:
    sys.exit(f"no health: {error}")
