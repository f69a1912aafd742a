"""`python -m tests.processors.charter.keep`: stores the example charters as they are today, beside the older ones."""

import json
from pathlib import Path

from nightdesk.operations.charters import charter_files, load_charter
from nightdesk.processors.charter import Charter
from tests.processors.examples import compiled

KEPT = Path(__file__).parent / "kept"


def main() -> None:
    kept = {json.loads(path.read_text())["version"] for path in KEPT.glob("*.json")}
    charters = [compiled().charter, *map(load_charter, charter_files(Path("charters")))]
    for charter in charters:
        if charter.version not in kept:
            print(_keep(charter))


def _keep(charter: Charter) -> Path:
    means = charter.model_dump(mode="json")
    path = KEPT / f"{charter.agent}-{charter.version}.json"
    KEPT.mkdir(exist_ok=True)
    content = {"version": charter.version, "content": charter.to_json(), "means": means}
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


if __name__ == "__main__":
    main()
