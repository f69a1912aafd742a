"""`python -m tests.schemas.keep`: keep an example of each record and audit detail that changed, as the next version."""

from tests.schemas.kept import Example, examples, is_kept
from tests.schemas.kept_details import MODELS, KeptDetail, kept_details
from tests.schemas.kept_details import is_kept as is_detail_kept
from tests.schemas.samples import SAMPLES


def main() -> None:
    kept = {example.version for example in examples()} | {detail.version for detail in kept_details()}
    version = max(kept, default=0) + 1
    changed = [sample for sample in SAMPLES if not is_kept(type(sample))]
    for sample in changed:
        Example(version, type(sample)).keep(sample)
    details = [model for model in MODELS if not is_detail_kept(model)]
    for model in details:
        KeptDetail(version, model).keep()
    names = [*(type(sample).__name__ for sample in changed), *(f"{model.__name__} in the audit" for model in details)]
    print(f"v{version}: {', '.join(names)}" if names else "nothing changed")


if __name__ == "__main__":
    main()
