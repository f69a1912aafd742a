"""`python -m tests.schemas.keep`: keep an example of each record whose schema changed, as the next version."""

from tests.schemas.kept import Example, examples, is_kept
from tests.schemas.samples import SAMPLES


def main() -> None:
    version = max((example.version for example in examples()), default=0) + 1
    changed = [sample for sample in SAMPLES if not is_kept(type(sample))]
    for sample in changed:
        Example(version, type(sample)).keep(sample)
    print(f"v{version}: {', '.join(type(sample).__name__ for sample in changed)}" if changed else "nothing changed")


if __name__ == "__main__":
    main()
