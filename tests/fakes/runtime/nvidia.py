"""Stands in for nvidia-container-runtime and for nvidia-container-runtime-hook, where there is no GPU.

As the runtime it is called like runc: it reads which devices the container's environment asks for, shows each of them
inside as a file in /dev/fake-nvidia, as the real one shows device nodes, and goes on as runc. As the hook (`prestart`)
it is told the container's state on stdin and only notes, in a file beside itself, what was asked for.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

SHOWN_IN = "/dev/fake-nvidia"
NOTES = "hooked"


def asked(config: dict[str, Any]) -> list[str]:
    """The devices that a container's configuration asks for."""
    settings = dict(setting.partition("=")[::2] for setting in config["process"]["env"])
    value = settings.get("NVIDIA_VISIBLE_DEVICES", "void")
    return [] if value in ("", "void", "none") else value.split(",")


def show(bundle: Path) -> None:
    """Add the devices to the container that runc is about to make."""
    file = bundle / "config.json"
    config = json.loads(file.read_text())
    config["mounts"] += [
        {"destination": f"{SHOWN_IN}/{device}", "type": "bind", "source": __file__, "options": ["bind", "ro"]}
        for device in asked(config)
    ]
    file.write_text(json.dumps(config))


def main(notes: str, arguments: list[str]) -> None:
    if arguments[-1:] == ["prestart"]:
        bundle = Path(json.load(sys.stdin)["bundle"])
        with (Path(notes) / NOTES).open("a") as file:
            file.write(",".join(asked(json.loads((bundle / "config.json").read_text()))) + "\n")
        return
    if "create" in arguments:
        show(Path(arguments[arguments.index("--bundle") + 1]))
    os.execvp("runc", ["runc", *arguments])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
