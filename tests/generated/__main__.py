"""`python -m tests.generated` writes every generated file anew and prints the names of those that changed."""

from tests.generated.files import ROOT, generated

for path, text in generated().items():
    if (ROOT / path).read_text() != text:
        (ROOT / path).write_text(text)
        print(path)
