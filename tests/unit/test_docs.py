"""What the documents name is there: files, sections, commands and their options."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kat_data.cli.main import kat

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"])
GUIDES = [page for page in PAGES if page.parent.name != "adr"]


def sections(page: Path) -> set[str]:
    """Return the names by which a page's headings are linked to."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every `kat …` line of a page's shell blocks."""
    for block in re.findall(r"(?ms)^```sh\n(.*?)^```", page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            for said in re.findall(r"(?:^|\s|bin/)kat (?=[a-z])([^#&;$]*)", line):
                yield said.split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    for link in links:
        path, _, section = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not section or target.suffix != ".md" or section in sections(target), link


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_benchmark_that_is_named_is_there(page: Path) -> None:
    for path in re.findall(r"benchmarks/\w+\.py", page.read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    for words in commands(page):
        command: click.Command = kat
        rest = list(words)
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), rest.pop(0).partition("|")[0])
            assert found is not None, words
            command = found
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        named = {re.sub(r"^\[|[\]=].*$", "", word) for word in rest if re.match(r"\[?--[a-z]", word)}
        assert named <= known | {"--help"}, words
