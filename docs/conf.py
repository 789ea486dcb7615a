"""The documentation site: Sphinx with MyST and furo. `make docs` builds it into build/docs."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from e4s_engine import __version__
from e4s_engine.cli import arguments_parser

project, author, release = "e4s_engine", "the e4s_engine contributors", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = f"e4s_engine {__version__}"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give shapes and units, which say more
default_role = "code"
smartquotes = False  # they make dashes of flags
html_show_copyright = False
autoclass_content = "both"
exclude_patterns = ["_build"]

# Pages beside docs/ that are pages of the site as well.
_INCLUDED = {"../CONTRIBUTING.md": "contributing.md", "../README.md": "overview.md"}
_OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")
_ARGUMENT = re.compile(r"((?:[a-z_]\w*)(?:, [a-z_]\w*)*): (.*)")


def setup(app: Any) -> None:
    """Register what is made of the sources: links, the command line, and docstrings in the house's style."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", lambda *event: _listed(event[-1]))


def _read(_app: Any, page: str, source: list[str]) -> None:
    text = source[0]
    for path, name in _INCLUDED.items():
        text = text.replace(f"]({path})", f"]({name})")
    text = _OUTSIDE.sub(r"`\1`", text)  # files of the repository
    if page == "commands":
        text = text.replace("<!-- commands -->", "\n".join(_commands(arguments_parser())))
    if page == "notebook":
        text = text.replace("<!-- cells -->", "\n\n".join(_cells(Path(__file__).with_name("notebook.ipynb"))))
    source[0] = text


def _cells(notebook: Path) -> Iterator[str]:
    """Yield a notebook's cells in Markdown, their headings one level lower than in the notebook."""
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        is_code = cell["cell_type"] == "code"
        yield f"```python\n{text}\n```" if is_code else re.sub(r"^#", "##", text, flags=re.M)


def _listed(lines: list[str]) -> None:
    """Turn "name: meaning" at the beginning of a line, with the indented lines below it, into a list item."""
    done: list[str] = []
    inside = False
    for line in lines:
        argument = _ARGUMENT.fullmatch(line)
        if argument:
            done += ([] if inside else [""]) + [f"- **{argument[1]}**: {argument[2]}"]
            inside = True
        elif inside and line.startswith(" "):
            done.append(f"  {line.strip()}")
        else:
            done += [""] if inside and line else []
            done.append(line)
            inside = False
    lines[:] = done


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the sections of a parser's commands, and of theirs."""
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        for command in action.choices.values():
            yield from _section(command)
            yield from _commands(command)


def _section(command: argparse.ArgumentParser) -> Iterator[str]:
    yield f"\n## {command.prog}\n"
    yield f"{(command.description or '').capitalize()}.\n"
    rows = [row for action in command._actions if (row := _row(command, action))]
    if rows:
        yield from ("| argument | meaning |", "|---|---|", *rows)


def _row(command: argparse.ArgumentParser, action: argparse.Action) -> str | None:
    if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)) or action.dest == "verbose":
        return None
    value = _value(action)
    names: Sequence[str] = action.option_strings or [value]
    shown = ", ".join(
        f"`{name} {value}`" if action.option_strings and value else f"`{name}`" for name in names
    )
    meaning = command._get_formatter()._expand_help(action) if action.help else ""
    return f"| {shown} | {meaning} |".replace("`|", "`\\|").replace("<", "&lt;")


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, str):
        return action.metavar.replace("|", "\\|")
    if action.choices:
        return "\\|".join(map(str, action.choices))
    return action.dest.upper()
