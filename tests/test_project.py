"""The project keeps its word: README, Makefile, manual, version, and what an import costs."""

from __future__ import annotations

import ast
import importlib.metadata
import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import geoseg
from geoseg.tasks import TASKS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".cfg", ".txt", ".sh", ""}


class MkdocsLoader(yaml.SafeLoader):
    """Reads mkdocs.yml without carrying out its `!!python/name` tags."""


MkdocsLoader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda loader, suffix, node: suffix)


def project_files() -> list[Path]:
    """Files under version control, or all that a source archive holds."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    folders = ["geoseg", "cli", "tests", "docs", "examples", "benchmarks", "recipes"]
    return [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]


def code_blocks(text: str, *languages: str) -> Iterator[str]:
    for language, block in re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        if language in languages:
            yield block


def shell_commands(text: str, program: str) -> Iterator[list[str]]:
    """The words of each command in the page's shell blocks that starts with `program`; continued lines are joined."""
    for block in code_blocks(text, "bash", "sh", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == [program]:
                yield list(itertools.takewhile(lambda word: word not in {"|", ">"}, words[1:]))


def test_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_make_targets_that_pages_name_exist():
    defined = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {words[0] for page in PAGES for words in shell_commands(page.read_text(), "make")}
    assert {"demo", "test"} <= named
    assert named <= defined


def test_make_test_ends_with_pytest():
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert recipe is not None
    assert "pytest" in recipe[1].splitlines()[-1], "pytest's summary has to be the last thing that `make test` prints"


def _nav(entry: Any) -> Iterator[str]:
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, list):
        for item in entry:
            yield from _nav(item)
    else:
        yield from _nav(list(entry.values()))


def test_manual_lists_every_page_once():
    config = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=MkdocsLoader)
    listed = list(_nav(config["nav"]))
    assert sorted(listed) == sorted(p.relative_to(ROOT / "docs").as_posix() for p in (ROOT / "docs").rglob("*.md"))


def test_relative_links_lead_somewhere():
    for page in PAGES:
        targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        broken = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
        assert not broken, page


def test_version_stands_in_one_place():
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "geoseg/__init__.py"
    assert importlib.metadata.version("geoseg") == geoseg.__version__


EXTRAS = ("clouds", "mlflow", "onnx", "openvino", "stac", "tensorboard", "torchgeo", "transformers", "wandb")


def _imported(*folders: str) -> set[str]:
    """Top-level names of the packages that Python files import, wherever in the file."""
    names = set()
    for path in (p for folder in folders for p in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"geoseg", "geoseg_cli", "tests"}


@pytest.mark.parametrize(
    ("folders", "extras"),
    [(("geoseg", "cli"), EXTRAS), (("examples", "recipes"), ()), (("tests",), (*EXTRAS, "test"))],
)
def test_imported_packages_are_declared(folders, extras):
    project = PYPROJECT["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    declared = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in wanted}
    providers = importlib.metadata.packages_distributions()
    missing = {
        name
        for name in _imported(*folders)
        if not declared & {provider.lower().replace("_", "-") for provider in providers.get(name, ["?"])}
    }
    assert not missing


def test_all_is_every_extra_but_those_of_developers():
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert set(extras) == {*EXTRAS, "all", "test", "docs"}
    assert extras["all"] == [f"geoseg[{','.join(EXTRAS)}]"]


def test_no_file_names_a_path_of_one_machine():
    machine = re.compile(r"/(?:" + "|".join(["root", "home", "work", "Users"]) + r")/")
    texts = (p for p in project_files() if p.suffix in TEXT and p.stat().st_size < 2**20)
    assert not [str(p.relative_to(ROOT)) for p in texts if machine.search(p.read_text(errors="ignore"))]


def test_import_is_light():
    program = "import sys, json, geoseg; print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(answer))
    heavy = {"torch", "rasterio", "geopandas", "numpy", "numba", "odc", "pydantic", "shapely", "pyproj"}
    assert "geoseg" in loaded
    assert not loaded & heavy


def test_public_names_that_pages_show_exist():
    for page in PAGES:
        for block in code_blocks(page.read_text(), "python"):
            compile(block, str(page), "exec")
            named = set(re.findall(r"\bgeoseg\.([a-z_]+)\(", block))
            assert named <= set(geoseg.__all__), page


def _commands() -> Iterator[Any]:
    for page in PAGES:
        for words in shell_commands(page.read_text(), "geoseg"):
            yield pytest.param(words, id=f"{page.stem}: {' '.join(words)[:60]}")


@pytest.mark.parametrize("words", list(_commands()))
def test_commands_that_pages_show_are_understood(words):
    command: Any = importlib.import_module("geoseg_cli.main").cli
    context = click.Context(command)
    if words in (["--help"], ["--version"]):
        return
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, f"no command {name!r}"
        command, context = found, click.Context(found, parent=context)
    command.make_context(command.name, list(words), parent=context)


def _flags(command: Any, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            yield from _flags(found, click.Context(found, parent=context))


def test_flags_that_messages_and_pages_name_exist():
    cli = importlib.import_module("geoseg_cli.main").cli
    scripts = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    own = re.findall(r'add_argument\("(--[a-z-]+)"', scripts)
    known = {*_flags(cli, click.Context(cli)), *own, "--torch-backend"}  # the last one is uv's
    sources = [p for folder in ("geoseg", "cli") for p in (ROOT / folder).rglob("*.py")]
    unknown = {
        f"{path.relative_to(ROOT)}: {flag}"
        for path in (*sources, *PAGES)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]", path.read_text())
        if flag not in known
    }
    assert not unknown


@pytest.mark.parametrize(("backend", "installs"), [("", True), ("cpu", False)])
def test_pip_steps_in_for_uv_only_where_it_brings_the_same_pytorch(tmp_path, backend, installs):
    tools = tmp_path / "venv" / "bin"
    tools.mkdir(parents=True)
    for name, script in (("uv", "exit 1"), ("python", f'echo "$@" >> {tmp_path / "called"}')):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    (tools.parent / ".created").touch()
    words = ["make", "-C", str(ROOT), f"VENV={tools.parent}", f"TORCH_BACKEND={backend}", f"{tools.parent}/.installed"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "uv could not install" in answer.stdout
    assert (answer.returncode == 0) is installs, answer.stderr
    assert (tmp_path / "called").exists() is installs
    assert (tools.parent / ".installed").exists() is installs


def test_the_manual_tells_what_each_task_asks_for():
    rows = [line for line in (ROOT / "docs" / "vectors.md").read_text().splitlines() if line.startswith("| `")]
    for task in TASKS.values():
        what = task.postprocess
        (row,) = [line for line in rows if line.startswith(f"| `{task.name}` |")]
        if what.shape == "lines":
            told = [f"lines up to {what.max_width_m:g} m wide", f"{what.simplify_m:g} m"]
        else:
            told = [f"`{what.outline}`", f"{what.simplify_m:g} m", f"{what.min_area_m2:g} m²"]
            told += [f"up to {what.fill_holes_m2:g} m²", "merged" if what.small == "merge" else "dropped"]
        assert all(words in row for words in told), row
