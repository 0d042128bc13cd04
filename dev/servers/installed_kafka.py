"""Whether Apache Kafka can run here: Java, and the libraries that set-up fetched."""

import re
import shutil
import subprocess
from pathlib import Path

OLDEST_JAVA = 17
#: Of the name of the server's library; its version follows.
_SERVER = "kafka_2.13-"


def no_java() -> str:
    """What is wrong with this machine's Java; empty if nothing is."""
    java = shutil.which("java")
    if not java or _java_version(java) < OLDEST_JAVA:
        return f"there is no Java {OLDEST_JAVA} or newer"
    return ""


def version(jars: Path) -> str:
    """Version of the libraries in a folder; empty if they were not fetched."""
    names = [path.stem for path in jars.glob(f"{_SERVER}[0-9]*.jar")]
    return names[0].removeprefix(_SERVER) if names else ""


def _java_version(java: str) -> int:
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', output)
    return int(found[1]) if found else 0
