"""Documentation: links lead somewhere, examples compile, and every environment variable is listed."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e4s_engine import cli, synth
from e4s_engine.cli import main
from e4s_engine.engine import Engine
from e4s_engine.photo import images, opening

ROOT = Path(__file__).parents[1]
PAGES = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "e4s_engine/models/README.md")
    ),
    *sorted((ROOT / "docs").glob("*.md")),
]
# Pages whose examples run, each from its first to its last, and whether they need the bundled model, whose
# parser finds the lips, which a random one need not. The other pages run with a tiny model, which is quick.
RUN = {"tutorial.md": False, "regions.md": True, "people.md": False}
ENVIRONMENT = ROOT / "docs" / "environment.md"
LINK = re.compile(r"\]\(([^()\s]+)\)")

# Names in Python: read from os.environ, set by a test's monkeypatch, or our own anywhere.
IN_PYTHON = re.compile(
    r'(?:environ(?:\.\w+\(|\[)|getenv\(|(?:set|del)env\()\s*"([A-Z][A-Z0-9_]*)"|\b(E4S_[A-Z0-9_]+)'
)
IN_CPP = re.compile(r'getenv\("(\w+)"\)')
IN_MAKEFILE = re.compile(r"(?<![\w:-])(?<!-D)([A-Z][A-Z0-9]*_[A-Z0-9_]+)=")
IN_SHELL = re.compile(r"\$\{([A-Z_]+):-")
IN_CMAKE = re.compile(r"(?:option|set)\((E4S_\w+)")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_relative_links_lead_to_files(page: Path) -> None:
    wrong = []
    for target in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        if not path.is_file() or (anchor and anchor not in anchors(path)):
            wrong.append(target)
    assert not wrong


def test_pages_are_linked_from_the_front() -> None:
    """Every page of docs/ can be reached from CONTRIBUTING, which the README names, in two steps."""
    front = {ROOT / "README.md", ROOT / "CONTRIBUTING.md"}
    reached = set(front)
    for _ in range(2):
        for page in list(reached):
            links = (page.parent / t.partition("#")[0] for t in LINK.findall(page.read_text()))
            reached |= {link.resolve() for link in links if link.suffix == ".md"}
    reached |= contents()
    assert {page for page in PAGES if page.parent.name == "docs"} <= reached


def contents() -> set[Path]:
    """Return the pages in the tables of contents of the site."""
    index = ROOT / "docs" / "index.md"
    tables = re.findall(r"^```{toctree}\n(.*?)^```", index.read_text(), re.M | re.S)
    entries = [line for table in tables for line in table.splitlines() if line and not line.startswith(":")]
    names = [re.sub(r".*<(.*)>", r"\1", entry) for entry in entries]
    assert len(set(names)) == len(names)
    return {index, *(index.with_name(f"{name}.md") for name in names)}


def test_every_page_is_in_one_table_of_contents() -> None:
    assert contents() == {page for page in PAGES if page.parent.name == "docs"}


def test_the_site_builds(tmp_path: Path) -> None:
    """Without a warning: no link that leads nowhere, no docstring that Sphinx cannot read."""
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", ROOT / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    commands = (tmp_path / "commands.html").read_text()
    assert all(f"e4s {name}" in commands for name in cli.COMMANDS) and "e4s train rgi" in commands
    assert "regions.PALETTE[labels]" in re.sub("<[^>]*>", "", (tmp_path / "notebook.html").read_text())
    assert (next(tmp_path.rglob("notebook.ipynb"))).stat().st_size > 1000
    assert "Mix the reference" in (tmp_path / "api.html").read_text()


def test_the_readme_works_on_a_package_index() -> None:
    """A package index does not serve the repository's files: relative pictures and links would be broken."""
    text = (ROOT / "README.md").read_text()
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)|<img[^>]*src=\"([^\"]+)", text)
    assert all(source.startswith("https://") for names in pictures for source in names if source)
    assert all(target.startswith(("https://", "#")) for target in LINK.findall(text))


def python_examples() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)):
            found.append((f"{relative(page)}-{number}", code))
    return found


@pytest.mark.parametrize(("name", "code"), python_examples(), ids=lambda value: value.split("\n")[0][:40])
def test_python_examples_compile(name: str, code: str) -> None:
    compile(code, name, "exec")


def steps(page: str) -> list[str]:
    """Return a page's examples, but for those that need what the tests lack."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"^(?<!-->\n)```python\n(.*?)^```", text, re.M | re.S)


@pytest.fixture(scope="module")
def photos_of_the_demo():
    pictures = (synth.render(synth.person(seed), synth.scene(seed), 256).image for seed in (0, 1))
    return dict(zip(("e4s_source.png", "e4s_target.png"), pictures, strict=True))


@pytest.mark.parametrize("page", RUN)
def test_the_examples_of_a_page_run(
    page: str, photos_of_the_demo, tmp_path, monkeypatch, tiny_weights
) -> None:
    """In their order, in a folder with photos such as `e4s demo --photos` writes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    if not RUN[page]:
        monkeypatch.setenv("E4S_WEIGHTS", str(tiny_weights / "model.safetensors"))
    for name, picture in photos_of_the_demo.items():
        images.write(picture, name)
    names: dict[str, object] = {}
    examples = steps(page)
    assert len(examples) >= 2
    for example in examples:
        exec(compile(example, page, "exec"), names)


def cells(kind: str) -> list[str]:
    """Return the sources of the notebook's cells of a kind."""
    notebook = json.loads((ROOT / "docs" / "notebook.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    found = [cell for cell in notebook["cells"] if cell["cell_type"] == kind]
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in found if kind == "code")
    return ["".join(cell["source"]) for cell in found]


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell in its order, with the bundled model; those that end in a picture have one to show."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    names: dict[str, object] = {}
    shown = 0
    for cell in cells("code"):
        body = ast.parse(cell, "notebook.ipynb")
        last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, "notebook.ipynb", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "notebook.ipynb", "eval"), names)
            shown += hasattr(value, "_repr_png_")
    assert shown >= 6


def test_links_of_the_notebook_lead_to_pages() -> None:
    targets = [target for cell in cells("markdown") for target in LINK.findall(cell)]
    assert targets and all((ROOT / "docs" / target).is_file() for target in targets)


def variables() -> dict[str, str]:
    """Return the environment variables that the sources name, with a file for each."""
    found: dict[str, str] = {}
    for folder in ("e4s_engine", "kernels", "benchmarks", "python_tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for names in IN_PYTHON.findall(path.read_text()) if path != Path(__file__) else ():
                found.setdefault(next(filter(None, names)), relative(path))
    for path in sorted((ROOT / "csrc").rglob("*.cpp")):
        for name in IN_CPP.findall(path.read_text()):
            found.setdefault(name, relative(path))
    for path in sorted((ROOT / "benchmarks").glob("*.sh")):
        for name in IN_SHELL.findall(path.read_text()):
            found.setdefault(name, relative(path))
    for name in IN_MAKEFILE.findall((ROOT / "Makefile").read_text()):
        found.setdefault(name, "Makefile")
    for name in IN_CMAKE.findall((ROOT / "CMakeLists.txt").read_text()):
        found.setdefault(name, "CMakeLists.txt")
    return found


def test_every_environment_variable_is_listed() -> None:
    listed = set(re.findall(r"`([A-Z][A-Z0-9_]*)`", ENVIRONMENT.read_text()))
    found = variables()
    assert {"E4S_WEIGHTS", "E4S_ISA", "E4S_THREADS", "E4S_CACHE", "E4S_SHARED", "E4S_FUZZ"} <= set(found)
    assert not {f"{name} ({path})" for name, path in found.items() if name not in listed}


def test_no_variable_of_ours_is_listed_in_vain() -> None:
    listed = set(re.findall(r"\b(E4S_[A-Z0-9_]+)", ENVIRONMENT.read_text()))
    assert listed <= set(variables())


def test_the_readme_lists_every_picture_format() -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    row = {suffix: line for line in rows for suffix in opening.SUFFIXES if re.search(rf"\{suffix}\b", line)}
    assert set(row) == set(opening.SUFFIXES)
    for suffix in opening.SUFFIXES:
        written = "| yes | yes" in row[suffix] and not re.search(rf"\([^)]*\{suffix}\b", row[suffix])
        assert written == (suffix in images.FORMATS), suffix


@pytest.mark.parametrize(
    "name", ["encode", "average", "parse", "crop", "edit", "invert", "reconstruct", "portrait", "pose"]
)
def test_the_readme_has_every_argument(name: str) -> None:
    (row,) = re.findall(rf"^\| `engine\.{name}\((.*?)\)` \|", (ROOT / "README.md").read_text(), re.M)
    wanted = [n for n in inspect.signature(getattr(Engine, name)).parameters if n not in ("self", "argument")]
    assert re.findall(r"(?:^|, )(?:\*\*)?(\w+)", row) == wanted


@pytest.mark.parametrize("command", ["swap"])
def test_the_readme_has_every_flag(command: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    flags = set(re.findall(r"(--[\w-]+)", capsys.readouterr().out)) - {"--help", "--verbose", "--output"}
    section = (ROOT / "README.md").read_text().partition("## Command line")[2]
    usage = section.partition(f"e4s {command} ")[2].partition("\ne4s ")[0]
    assert flags <= set(re.findall(r"(--[\w-]+)", usage))
