"""What a start costs: a worker imports no library that it does not need, and the settings, which every command reads,
none that calls somebody.
"""

import subprocess
import sys

HEAVY = ("clickhouse_connect", "fastapi", "google.protobuf", "opentelemetry.sdk", "playwright", "requests")
CLIENTS = ("aiohttp", "authlib", "cel", "confluent_kafka", "httpx2", "joserfc", "nightdesk.processors.charter")


def test_a_worker_imports_no_client_of_others() -> None:
    assert _imported_by("nightdesk.bootstrap", HEAVY) == "[]\n"


def test_the_settings_import_no_client() -> None:
    assert _imported_by("nightdesk.settings", CLIENTS) == "[]\n"


def _imported_by(module: str, names: tuple[str, ...]) -> str:
    loaded = f"import sys, {module}; print([name for name in {names} if name in sys.modules])"
    return subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=120
    ).stdout
