"""QEMU's tools over its iSCSI driver: what tests of images and paths share."""

import random
import subprocess
from pathlib import Path

from targets import INITIATOR, Chap

STEP_S = 120


class StepFailed(Exception):
    """A command that failed, with its output."""


def step(*command) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=STEP_S, check=False)
    output = done.stdout + done.stderr
    # qemu-io reports a failed pattern in words, with status 0 in some versions
    if done.returncode != 0 or "Pattern verification failed" in output or "failed:" in output:
        raise StepFailed(f"{' '.join(words)}\n{output}")
    return output


def unit_options(portal: str, iqn: str, lun: int, chap: Chap | None = None) -> str:
    """For --image-opts; `portal` is "host:port"."""
    text = (f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal={portal},file.target={iqn},file.lun={lun},"
            f"file.initiator-name={INITIATOR}")
    return text + (f",file.user={chap.user},file.password-secret=chap" if chap else "")


def make_image(path: Path, size: int, seed: int = 1) -> None:
    """Data, holes and an end that is not aligned to anything large."""
    source = random.Random(seed)
    with path.open("wb") as file:
        file.truncate(size)
        for _ in range(40):
            file.seek(source.randrange(size // 4096) * 4096)
            file.write(source.randbytes(min(source.choice([512, 4096, 65536, 1 << 20]), size - file.tell())))
