"""Makes mkdocs build the pages where they lie in the repository, so that their links are the same.

GitHub shows the same files. What they link to, such as a configuration, comes along as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")  # the target of [text](target#anchor)
ELSEWHERE = re.compile(r"\w+:")


def on_files(files: Files, config: Any) -> Files:
    """The theme's own files, the pages of the navigation, and all that these link to."""
    written = pages(config.nav)
    linked = {target for page in written for target in _targets(page)} - {*written}
    ours = [_file(path, config) for path in (*written, *sorted(linked))]
    return Files([*(file for file in files if file.src_dir != config.docs_dir), *ours])


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to folders become words: a site has no page for them, as GitHub does."""
    folder = (ROOT / page.file.src_uri).parent

    def words(link: re.Match[str]) -> str:
        return link[1] if (folder / link[2]).is_dir() else link[0]

    return re.sub(r"\[([^]]+)\]\(([^)#\s:]+)\)", words, markdown)


def pages(entry: Any) -> list[str]:
    """All paths in a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [path for part in parts for path in pages(part)]


def _targets(page: str) -> set[str]:
    """Files that a page links to, by their paths in the repository; mkdocs tells what is not."""
    found = LINK.findall((ROOT / page).read_text())
    paths = [(ROOT / page).parent / target for target in found if not ELSEWHERE.match(target)]
    return {path.resolve().relative_to(ROOT).as_posix() for path in paths if path.is_file()}


def _file(path: str, config: Any) -> File:
    return File.generated(config, path, abs_src_path=str(ROOT / path))
