"""Each version stands in one place, and the tests run with what is pinned."""

import os
import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from ruamel.yaml import YAML

from brokers.tools import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PINS = ROOT / "tests" / "constraints.txt"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOREIGN = {
    ".git",
    ".venv",
    ".broker",
    ".cluster",
    ".hypothesis",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
}


def pins():
    """Return what the file of pins says, as requirements."""
    lines = PINS.read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def requirements():
    """Return what pyproject.toml names, as requirements."""
    groups = PYPROJECT["dependency-groups"].values()
    named = [each for group in groups for each in group if isinstance(each, str)]
    return [Requirement(each) for each in PYPROJECT["project"]["dependencies"] + named]


def texts():
    """Return what the files of the project say, without the pins: {path: text}."""
    paths = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = set(folders) - FOREIGN  # some of these change while the tests run
        paths += [Path(folder) / name for name in files if not name.startswith("try_")]
    suffixes = {"", ".py", ".md", ".toml", ".yml", ".txt"}
    paths = [path for path in paths if path.suffix in suffixes and path != PINS]
    return {path: path.read_text(encoding="utf-8") for path in paths}


def found(pattern):
    """Return where a regular expression is found, and what: [("send.py", "import pika")]."""
    return [
        (str(path.relative_to(ROOT)), match)
        for path, text in texts().items()
        for match in re.findall(pattern, text, re.IGNORECASE)
    ]


def test_what_is_named_is_pinned():
    assert {each.name for each in requirements()} - {pin.name for pin in pins()} == set()


def test_a_package_has_a_version_in_one_place_besides_its_pin():
    names = "|".join(sorted({re.escape(pin.name) for pin in pins()}, key=len, reverse=True))
    versions = found(rf"(?<![\w-])((?:{names}) ?(?:[=~!]=|[<>]=?) ?\d[\d.]*)")
    versions = [each for each in versions if not each[0].endswith(".md")]
    packages = [re.match(r"[\w-]+", text)[0] for _, text in versions]
    assert len(packages) == len(set(packages)), versions
    assert {file for file, _ in versions} == {"pyproject.toml"}


def test_learners_install_a_pika_that_is_tested():
    """Without the folder there is no pyproject.toml, so the pages repeat what it says of pika."""
    (pika,) = [each for each in requirements() if each.name == "pika"]
    for file, requirement in found(r"(pika[<>=~].*?)[\"`]"):
        if file.endswith(".md"):
            assert set(Requirement(requirement).specifier) <= set(pika.specifier), file


def test_the_version_of_rabbitmq_stands_in_the_compose_file_alone():
    (version,) = [v for file, v in found(r"rabbitmq:(\d[\d.]*)") if file == "docker-compose.yml"]
    others = found(rf"rabbitmq:{re.escape(version)}")
    assert [file for file, _ in others] == ["docker-compose.yml"]
    workflow = YAML(typ="safe").load(ROOT / ".github" / "workflows" / "test.yml")
    rows = workflow["jobs"]["linux"]["strategy"]["matrix"]["include"]
    others = [row["rabbitmq"] for row in rows if "rabbitmq" in row]
    assert version not in others
    assert len(others) == len(set(others)) < len(rows)


def test_the_oldest_python_stands_in_pyproject_alone():
    oldest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    settings = {".toml", ".yml", ""}  # the Makefile, .ci/run
    places = found(rf"{re.escape(oldest)}(?!\d)|py{oldest.replace('.', '')}")
    places = [place for place in places if os.path.splitext(place[0])[1] in settings]
    assert places == [("pyproject.toml", oldest)]


def test_the_pinned_pika_is_tested():
    """Unless `make test PIKA=...` wants another one."""
    (pin,) = [pin for pin in pins() if pin.name == "pika"]
    assert os.environ.get("PIKA") or metadata.version("pika") in pin.specifier, "try: make clean"
