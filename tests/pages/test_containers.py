"""The Compose file of docs/containers.md, against Compose's own schema."""

import subprocess
import sys

import pytest

from brokers.tools import ROOT
from course.markdown_page import blocks


@pytest.mark.parametrize("change", ["", "stop_grace"])
def test_the_compose_file(tmp_path, change):
    """With a misspelled key, it has to be refused."""
    (block,) = [
        block for block in blocks(ROOT / "docs" / "containers.md") if block.language == "yaml"
    ]
    file = tmp_path / "compose.yml"
    file.write_text(block.text.replace("stop_grace_period", change or "stop_grace_period"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    result = subprocess.run([*command, file], capture_output=True, text=True)
    assert (result.returncode == 0) == (not change), result.stdout
