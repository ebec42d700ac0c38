"""Facts in prose are tested: advisories, file map, links between documents."""

from __future__ import annotations

import re

from rules.source import TOP, modules

CVE = re.compile(r"CVE-\d{4}-\d{4,}")
SOURCES = ("runtime/**/*.py", "spec/**/*.py", "csrc/*.[ch]", "csrc/*.py", "tests/**/*.py")


def advisories_in_sources() -> set[str]:
    found: set[str] = set()
    for pattern in SOURCES:
        for path in TOP.glob(pattern):
            found |= set(CVE.findall(path.read_text()))
    return found


def test_every_advisory_named_in_the_sources_is_in_security_md() -> None:
    listed = set(CVE.findall((TOP / "SECURITY.md").read_text()))
    assert sorted(advisories_in_sources() - listed) == []


def test_the_architecture_names_every_package() -> None:
    text = (TOP / "docs/ARCHITECTURE.md").read_text()
    names = {module.name.split(".")[1] for module in modules() if module.name.startswith("pyrunc.")} | {"ocispec"}
    assert sorted(name for name in names if f"`{name}`" not in text) == []


def test_every_file_that_a_document_links_to_exists() -> None:
    documents = [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")]
    links = [(path, target) for path in documents for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text())]
    assert links
    assert [f"{path.name}: {target}" for path, target in links if not (path.parent / target).exists()] == []
