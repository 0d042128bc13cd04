"""``python -m dev.docs`` writes the parts of the documentation that are generated from the code."""

from dev.docs.pages import PAGES, rewritten

for path in PAGES:
    text = path.read_text()
    if (new := rewritten(text)) != text:
        path.write_text(new)
