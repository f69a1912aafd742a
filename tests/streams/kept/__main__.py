"""`python -m tests.streams.kept`: stores the tables of today's workers if their shape has changed."""

import asyncio

from tests.streams.kept.stories import STORIES
from tests.streams.kept.tables import is_kept, keep, left_by, versions


async def main() -> None:
    today = {story.name: left_by(await story.begins()) for story in STORIES}
    changed = {name: tables for name, tables in today.items() if not is_kept(name, tables)}
    if changed:
        version = max(versions(), default=0) + 1
        keep(version, changed)
        print(f"v{version}: {', '.join(changed)}")
    else:
        print("nothing changed")


if __name__ == "__main__":
    asyncio.run(main())
