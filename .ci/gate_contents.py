"""Check that the sdist and the wheel hold what .ci/contents.toml allows, and all that it requires."""

from __future__ import annotations

import fnmatch
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path


def names(archive: Path) -> list[str]:
    """Files of an sdist (below its top folder) or of a wheel."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return [name for name in wheel.namelist() if not name.endswith("/")]
    with tarfile.open(archive) as sdist:
        return [member.name.partition("/")[2] for member in sdist if member.isfile()]


def problems(found: list[str], allowed: list[str], required: list[str]) -> list[str]:
    """One line for each file that no pattern allows and for each pattern that nothing fills."""
    extra = [name for name in found if not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed)]
    missing = [pattern for pattern in required if not fnmatch.filter(found, pattern)]
    return [f"not allowed: {name}" for name in extra] + [f"missing: {pattern}" for pattern in missing]


def main(archives: list[str]) -> int:
    """Print what is wrong with each archive; 1 if anything is."""
    rules = tomllib.loads((Path(__file__).parent / "contents.toml").read_text())
    status = 0
    for archive in map(Path, archives):
        rule = rules["wheel" if archive.suffix == ".whl" else "sdist"]
        found = names(archive)
        wrong = problems(found, rule["allowed"], rule["required"])
        print(f"{archive.name}: {len(found)} files, {len(wrong)} wrong")
        for line in wrong:
            print(f"  {line}")
        status |= bool(wrong)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
