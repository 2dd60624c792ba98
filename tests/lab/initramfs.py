"""A cpio archive (newc) for the guest's first root: busybox, the modules for 9p and overlay, and guest/init."""

import gzip
import lzma
from pathlib import Path

MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]
DIRECTORY, FILE = 0o040755, 0o100755


def member(name: str, mode: int, data: bytes, number: int) -> bytes:
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    header = b"070701" + "".join(f"{field:08X}" for field in fields).encode() + name.encode() + b"\0"
    return header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4)


def content(module: Path) -> bytes:
    """As busybox loads it."""
    data = module.read_bytes()
    return lzma.decompress(data) if module.suffix == ".xz" else data


def build(guest, init: Path, output: Path) -> None:
    modules = guest.module_files(MODULES)
    folders = ("bin", "modules", "proc", "sys", "dev")
    members: list[tuple[str, int, bytes]] = [(name, DIRECTORY, b"") for name in folders]
    members.append(("bin/busybox", FILE, (guest.tools / "bin" / "busybox").read_bytes()))
    members.append(("init", FILE, init.read_bytes()))
    plain = {file.name.removesuffix(".xz"): content(file) for file in modules}
    members += [(f"modules/{name}", FILE, data) for name, data in plain.items()]
    members.append(("modules/order", FILE, "\n".join(plain).encode() + b"\n"))
    archive = b"".join(member(*one, number) for number, one in enumerate(members, 1))
    output.write_bytes(gzip.compress(archive + member("TRAILER!!!", 0, b"", 0), 1))
