"""Whether the compiled module can be built here."""

import shutil
import subprocess
from pathlib import Path


def can_compile(python: str) -> bool:
    """Whether a compiler is here, and the headers of this Python."""
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('include'))"]
    headers = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return shutil.which("cc") is not None and Path(headers, "Python.h").exists()
