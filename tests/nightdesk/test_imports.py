"""What the start of a worker costs: it imports no library that it does not need."""

import subprocess
import sys

HEAVY = ("clickhouse_connect", "fastapi", "google.protobuf", "opentelemetry.sdk", "playwright", "requests")


def test_a_worker_imports_no_client_of_others() -> None:
    loaded = f"import sys, nightdesk.bootstrap; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout == "[]\n"
