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
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        real = Path(sys.prefix)
        parts = [part for part in real.iterdir() if part.name not in ("bin", ".ready-browser")]
        for part in [*parts, *(real / "bin").iterdir()]:
            place = folder / ".venv" / part.relative_to(real)
            if part.name.startswith(("activate", ".ready-")) or part.name == "rabbitmqctl":
                place.write_text(part.read_text().replace(str(real), str(folder / ".venv")))
                shutil.copystat(part, place)
            else:
                place.symlink_to(part)


def settings():
    """Return environment variables for commands that start a broker, at ports that are free."""
    amqp_port = str(free_port())
    return {
        "AMQP_PORT": amqp_port,
        "MANAGEMENT_PORT": str(free_port()),
        "COMPOSE_PROJECT_NAME": f"lessons-{amqp_port}",
    }
