"""A file system of a test's own that fsfreeze stops: writes wait in the kernel, whoever sends them. Needs root."""

import contextlib
import pathlib
import subprocess
import tempfile


class FrozenFiles:
    """Its root is `mount`."""

    def __init__(self, folder):
        self.mount = folder / "mount"
        self.mount.mkdir()
        image = folder / "image"
        with image.open("wb") as made:
            made.truncate(192 << 20)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, timeout=30)
        subprocess.run(["mount", "-o", "loop", str(image), str(self.mount)], check=True, timeout=30,
                       capture_output=True)
        self.frozen = False

    def freeze(self, on):
        subprocess.run(["fsfreeze", "-f" if on else "-u", str(self.mount)], check=True, timeout=30)
        self.frozen = on

    def close(self):
        if self.frozen:
            self.freeze(False)
        subprocess.run(["umount", str(self.mount)], check=True, timeout=30)


@contextlib.contextmanager
def frozen_files():
    """FrozenFiles, thawed and gone with the block; None where no file system can be made."""
    with tempfile.TemporaryDirectory(prefix="sluice-frozen-") as folder:
        try:
            files = FrozenFiles(pathlib.Path(folder))
        except (OSError, subprocess.SubprocessError):
            yield None
            return
        try:
            yield files
        finally:
            files.close()
