"""Writes conventions.json: the digest of every bundled convention. Run it only after adding a version, and say why."""

from __future__ import annotations

import json
from pathlib import Path

from flopcore.conventions import convention, conventions

if __name__ == "__main__":
    digests = {f"{name}@{convention(name).version}": convention(name).digest for name in conventions()}
    Path(__file__).with_name("conventions.json").write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
