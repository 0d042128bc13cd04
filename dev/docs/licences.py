"""``python -m dev.docs.licences`` prints `docs/licences.md`, from packages' metadata."""

import re
import sys
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement

from dev import ROOT

_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)


def locked() -> dict[str, str]:
    """Version by name of every package in `requirements.lock`."""
    return dict(_PINNED.findall((ROOT / "requirements.lock").read_text()))


def closure(names: list[str]) -> set[str]:
    """These requirements and all their installed dependencies, by canonical name."""
    found: set[str] = set()
    todo = [Requirement(name) for name in names]
    while todo:
        requirement = todo.pop()
        name = canonical(requirement.name)
        extras = requirement.extras or {""}
        for needed in map(Requirement, distribution(name).requires or []):
            marker = needed.marker
            wanted = any(not marker or marker.evaluate({"extra": extra}) for extra in extras)
            if wanted and canonical(needed.name) not in found:
                todo.append(needed)
        found.add(name)
    return found


def canonical(name: str) -> str:
    """A package's normalised name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(package: Distribution) -> str:
    """A package's licence, from its metadata."""
    about = package.metadata.json
    if expression := about.get("license_expression"):
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get("classifier", [])
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    return ", ".join(classifiers) or str(about.get("license", "?")).splitlines()[0]


def main() -> int:
    """Print the page; returns the exit status."""
    print("# Licences\n\nOf all the worker runs with; `make lock` writes this page.\n")
    print("The live page carries uPlot 1.6.32, MIT, with its licence in `web/vendor/uplot`.\n")
    print("| package | version | licence |\n|---|---|---|")
    for name, version in sorted(locked().items()):
        print(f"| {name} | {version} | {licence(distribution(name))} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
