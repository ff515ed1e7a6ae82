"""A copy of the project, to try its commands in."""

import shutil
import sys
from pathlib import Path

from brokers.tools import ROOT, free_port


def copy_the_project(folder, venv=True):
    """Copy what `git clone` would bring into a folder that does not exist.

    :param bool venv: whether to give the copy a .venv that is ready. It is the copy's own, and its
        parts are links into the real one, in which `make` then changes nothing
    """
    ignored = (ROOT / ".gitignore").read_text().split()
    private = shutil.ignore_patterns(".git", *(pattern.rstrip("/") for pattern in ignored))
    shutil.copytree(ROOT, folder, ignore=private)
    if venv:
        (folder / ".venv").mkdir()
        for part in Path(sys.prefix).iterdir():
            if not part.name.startswith(".ready"):
                (folder / ".venv" / part.name).symlink_to(part)
        for room in ("lessons", "demo", "tests"):
            (folder / ".venv" / f".ready-{room}").touch()


def settings():
    """Return environment variables for commands that start a broker, at ports that are free."""
    amqp_port = str(free_port())
    return {
        "AMQP_PORT": amqp_port,
        "MANAGEMENT_PORT": str(free_port()),
        "COMPOSE_PROJECT_NAME": f"lessons-{amqp_port}",
    }
