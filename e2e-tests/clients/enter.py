"""enter.py CONTAINER.json COMMAND...: runs a command as a container of a Pod would, with what `resolve` printed
for that container: its variables, those of the image as far as the Pod does not set them, and its mounts.

Needs a mount namespace of its own (`unshare --mount`), so that nobody else sees the mounts. A directory that has to be
made for one is made in a memory file system in front of its nearest parent that is there.
"""

import json
import os
import pathlib
import subprocess
import sys


def main():
    container = json.loads(pathlib.Path(sys.argv[1]).read_text())
    places = Places(pathlib.Path(sys.argv[1]).with_suffix(".shadows"))
    for mount in container["mounts"]:
        source, path = pathlib.Path(mount["source"]), pathlib.Path(mount["mountPath"])
        places.make(path, source.is_dir())
        run("mount", "--bind", source, path)
        if mount["readOnly"]:
            run("mount", "-o", "remount,bind,ro", path)
        places.own.append(path)
    environment = container["image"] | container["env"]
    os.execvpe(sys.argv[2], sys.argv[2:], environment)


class Places:
    """Makes places for mounts and leaves the machine's own directories as they are."""

    def __init__(self, shadows):
        self.shadows, self.own = shadows, []

    def make(self, path, directory):
        if path.exists():
            return
        parent = next(parent for parent in path.parents if parent.exists())
        if not any(parent.is_relative_to(own) for own in self.own):
            self.shadow(parent)
        (path if directory else path.parent).mkdir(parents=True, exist_ok=True)
        if not directory:
            path.touch()

    def shadow(self, parent):
        if parent == pathlib.Path("/"):
            sys.exit("enter.py: nothing can be mounted at a new directory of the root")
        if not self.shadows.is_dir():
            self.shadows.mkdir()
            run("mount", "-t", "tmpfs", "tmpfs", self.shadows)
        behind = self.shadows / str(len(self.own))
        behind.mkdir()
        run("mount", "--rbind", parent, behind)
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", parent)
        for entry in behind.iterdir():
            (parent / entry.name).symlink_to(entry)
        self.own.append(parent)


def run(*command):
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
