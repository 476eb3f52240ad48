"""A fake nvidia-container-runtime and nvidia-container-runtime-hook, for machines without a GPU.

As the runtime it has the command line of runc. It reads the devices that the container's environment requests, mounts
a file for each in /dev/fake-nvidia, where the real runtime adds device nodes, and executes runc. As the hook
(`prestart`) it reads the container's state on stdin, and writes the requested devices to a file beside itself.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

SHOWN_IN = "/dev/fake-nvidia"
NOTES = "hooked"


def requested(config: dict[str, Any]) -> list[str]:
    """Return the devices that a container's configuration requests."""
    settings = dict(setting.partition("=")[::2] for setting in config["process"]["env"])
    value = settings.get("NVIDIA_VISIBLE_DEVICES", "void")
    return [] if value in ("", "void", "none") else value.split(",")


def show(bundle: Path) -> None:
    """Add the devices to the container that runc is about to make."""
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["mounts"] += [
        {"destination": f"{SHOWN_IN}/{device}", "type": "bind", "source": __file__, "options": ["bind", "ro"]}
        for device in requested(config)
    ]
    file.write_text(json.dumps(config))


def main(notes: str, arguments: list[str]) -> None:
    if arguments[-1:] == ["prestart"]:
        bundle = Path(json.load(sys.stdin)["bundle"])
        with (Path(notes) / NOTES).open("a") as file:
            file.write(",".join(requested(json.loads((bundle / "config.json").read_text()))) + "\n")
        return
    if "create" in arguments:
        show(Path(arguments[arguments.index("--bundle") + 1]))
    os.execvp("runc", ["runc", *arguments])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
