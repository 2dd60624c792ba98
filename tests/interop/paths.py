#!/usr/bin/env python3
"""Several paths with real initiators: two targets behind one portal, one of them in a second portal group too. QEMU and
libiscsi write by one path and read by the other; what each path says of itself agrees with REPORT TARGET PORT GROUPS; a
port that listens on loopback alone is not reached from another host. usage: paths.py [PROGRAM]"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from gateway import Checks, Gateway, own_gateway  # noqa: E402
from initiator import (RESERVATION_CONFLICT, Initiator, persistent_reserve_in, persistent_reserve_out,  # noqa: E402
                       registration, write_16)
from namespace import OtherHost, again_in_namespace, inside  # noqa: E402
from paths import (PORT_GROUP, RELATIVE_PORT, SCSI_NAME, discovered, inquiry_page, number_of,  # noqa: E402
                   port_designator, target_port_groups, unit_designators, until_ready)
from qemu_tools import StepFailed, make_image, step, unit_options  # noqa: E402
from targets import INITIATOR, TargetError, free_port  # noqa: E402

VM1, VM2, LOCAL = (f"iqn.2026-11.io.sluice:{name}" for name in ("vm1", "vm2", "local"))
SIZE = 32 << 20
HALF = SIZE // 2
RAM, FILE = 0, 1  # LUNs
BLOCK = 512
EXCLUSIVE_REGISTRANTS_ONLY = 6
STORES = f'''[store.data]
type = "file"
path = "data.raw"
size = "{SIZE >> 20}MiB"
''' + "".join(f'[store.{name}]\ntype = "ram"\nsize = "{SIZE >> 20}MiB"\n' for name in ("vm1", "vm2", "local"))
LIMIT_S = 60


@dataclass
class Route:
    """A portal of a target, as one initiator uses it."""

    host: str
    number: int
    iqn: str
    group: int = 1

    @property
    def portal(self) -> str:
        return f"{self.host}:{self.number}"

    def unit(self, lun: int = RAM) -> str:
        return unit_options(self.portal, self.iqn, lun)

    def url(self, lun: int = RAM) -> str:
        return f"iscsi://{self.portal}/{self.iqn}/{lun}"

    def session(self, number: int = 1) -> Initiator:
        return until_ready(Initiator(self.number, self.iqn, INITIATOR, number=number, host=self.host))


def port(table: str, path: Route) -> str:
    return (f'[[target.{table}.port]]\nfabric = "iscsi"\nname = "{path.iqn}"\nlisten = ["{path.portal}"]\n'
            f"group = {path.group}\n")


def qemu_io(path: Route, lun: int, *commands: str) -> str:
    return step("qemu-io", "--image-opts", path.unit(lun), *(word for each in commands for word in ("-c", each)))


def refusal(*command, prefix: list[str] = ()) -> str:
    """What the tool says when it fails; empty when it does not."""
    done = subprocess.run([*prefix, *command], capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


def not_found(checks: Checks, what: str, route: Route, prefix: list[str] = ()) -> None:
    """QEMU and libiscsi both get status 0203."""
    told = [refusal("qemu-io", "--image-opts", route.unit(), "-c", "read 0 512", prefix=prefix),
            refusal("iscsi-inq", route.url(), prefix=prefix)]
    good = all("Target not found" in each for each in told)
    checks.check(what, good)
    if not good:
        print(told)


def images(checks: Checks, folder: Path, first: Route, second: Route) -> None:
    """An image goes in by each path and comes out by the other."""
    original, back = folder / "original.raw", folder / "back.raw"
    for lun, kind in ((RAM, "RAM"), (FILE, "file")):
        for into, out in ((first, second), (second, first)):
            make_image(original, SIZE, seed=10 * lun + into.group)
            back.unlink(missing_ok=True)
            step("qemu-img", "convert", "-n", "--target-image-opts", "-f", "raw", original, into.unit(lun))
            step("qemu-img", "convert", "--image-opts", out.unit(lun), "-O", "raw", back)
            checks.check(f"{kind}: an image written by group {into.group} is read by group {out.group}",
                         original.read_bytes() == back.read_bytes())


def at_once(checks: Checks, first: Route, second: Route, other: Route) -> None:
    """Both paths and the portal's other target are written at the same time, each with its own pattern."""
    size = 64 << 10
    writes = [(first, 0, "0x11"), (second, HALF, "0x22"), (other, 0, "0x33")]
    running = [subprocess.Popen(["qemu-img", "bench", "-w", "-c", str(HALF // size), "-d", "16", "-s", str(size), "-o",
                                 str(offset), f"--pattern={pattern}", "--image-opts", path.unit()],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for path, offset, pattern in writes]
    output = [process.communicate(timeout=LIMIT_S)[0] for process in running]
    checks.check("QEMU writes by both paths, and to another target behind one of them, at once",
                 all(process.returncode == 0 for process in running))
    for process, text in zip(running, output):
        if process.returncode:
            print(text)
    qemu_io(second, RAM, f"read -P 0x11 0 {HALF}", f"read -P 0x22 {HALF} {HALF}")
    qemu_io(first, RAM, f"read -P 0x11 0 {HALF}", f"read -P 0x22 {HALF} {HALF}")
    qemu_io(other, RAM, f"read -P 0x33 0 {HALF}", f"read -P 0 {HALF} {HALF}")
    checks.check("each is read by the other path, and the targets keep apart", True)


def descriptions(checks: Checks, paths: list[Route]) -> None:
    """What a host needs to make one map of two paths: one unit, two ports, and the group of each."""
    sessions = [path.session() for path in paths]
    try:
        pages = [inquiry_page(session, 0x83) for session in sessions]
        groups = [target_port_groups(session) for session in sessions]
        serials = {inquiry_page(session, 0x80) for session in sessions}
        with paths[0].session(number=2) as again:
            checks.check("a path says the same to another session", inquiry_page(again, 0x83) == pages[0])
    finally:
        for session in sessions:
            session.socket.close()
    checks.check("both paths name one unit", unit_designators(pages[0]) == unit_designators(pages[1])
                 and unit_designators(pages[0]) and len(serials) == 1)
    checks.check("both report the same groups, active/optimized, with a port each",
                 groups[0] == groups[1] and sorted(groups[0]) == [1, 2]
                 and all(group.state == 0 and len(group.ports) == 1 for group in groups[0].values()))
    for path, page in zip(paths, pages):
        relative, group = (number_of(port_designator(page, kind)) for kind in (RELATIVE_PORT, PORT_GROUP))
        name = port_designator(page, SCSI_NAME) or b""
        checks.check(f"page 83h by group {path.group}: that group, its relative port, the port's name",
                     group == path.group and [relative] == groups[0][path.group].ports
                     and name.rstrip(b"\0").decode() == f"{path.iqn},t,0x{path.group:04x}")


def reservations(checks: Checks, first: Route, second: Route) -> None:
    """Each path is a nexus of its own: it registers by itself, and READ FULL STATUS tells them apart by their ports."""
    key = 0x51C1
    with first.session() as holder, second.session() as other:
        relative = [number_of(port_designator(inquiry_page(session, 0x83), RELATIVE_PORT))
                    for session in (holder, other)]
        holder.execute(persistent_reserve_out(0), registration(0, key, False)).must_be_good("REGISTER")
        holder.execute(persistent_reserve_out(1, EXCLUSIVE_REGISTRANTS_ONLY), registration(key, 0, False)).must_be_good(
            "RESERVE")
        shut_out = other.execute(write_16(0, 1, False), bytes(BLOCK)).status
        other.execute(persistent_reserve_out(0), registration(0, key, False)).must_be_good("REGISTER")
        let_in = other.execute(write_16(0, 1, False), bytes(BLOCK)).status
        status = other.execute(persistent_reserve_in(3), data_in_length=512).must_be_good("READ FULL STATUS").data
        other.execute(persistent_reserve_out(3), registration(key, 0, False)).must_be_good("CLEAR")
    checks.check("a reservation of one path holds for the other until that registers too",
                 shut_out == RESERVATION_CONFLICT and let_in == 0)
    checks.check("READ FULL STATUS has a registrant for each path, by its relative port",
                 sorted(registrants(status)) == sorted(relative))


def registrants(full_status: bytes) -> list[int]:
    """The relative target port of each [SPC-4 6.15.5]."""
    found, at, end = [], 8, 8 + int.from_bytes(full_status[4:8], "big")
    while at + 24 <= end:
        found.append(int.from_bytes(full_status[at + 18:at + 20], "big"))
        at += 24 + int.from_bytes(full_status[at + 20:at + 24], "big")
    return found


def multipath_suite(checks: Checks, first: Route, second: Route) -> None:
    """libiscsi's own tests of two paths: which unit they lead to, resets, COMPARE AND WRITE against each other."""
    qemu_io(first, RAM, "write -z 0 1M")  # one of them compares a block with zeroes that it has not written
    done = subprocess.run(["iscsi-test-cu", "--dataloss", "-v", "-i", INITIATOR, "-I", INITIATOR + "-2", "-t",
                           "ALL.MultipathIO", first.url(), second.url()], capture_output=True, text=True,
                          timeout=LIMIT_S, check=False)
    output = done.stdout + done.stderr
    good = done.returncode == 0 and output.count("...passed") == 4 and "[SKIPPED]" not in output
    checks.check("libiscsi's four tests of multipath I/O pass over the two groups", good)
    if not good:
        print(output[-4000:])


def discovery(checks: Checks, first: Route, second: Route, other: Route) -> None:
    here = [(VM1, f"{first.portal},1"), (VM1, f"{second.portal},2")]
    checks.check("discovery at the shared portal shows both targets, with the groups of each",
                 discovered(first.portal) == sorted([*here, (VM2, f"{other.portal},1")]))
    checks.check("discovery at the other shows the one that is there", discovered(second.portal) == sorted(here))
    listed = step("iscsi-ls", "-s", f"iscsi://{second.portal}")
    checks.check("libiscsi logs in at each portal that it was told, and finds two LUNs", listed.count("Lun:") == 4)
    not_found(checks, "a target is not found where it has no portal", Route(second.host, second.number, VM2))


def two_paths(gateway: Gateway, checks: Checks) -> None:
    one, two = free_port(), free_port()
    first, second = Route("127.0.0.1", one, VM1), Route("127.0.0.2", two, VM1, group=2)
    other = Route("127.0.0.1", one, VM2)
    gateway.write(STORES + '[target.vm1]\nluns = { 0 = "vm1", 1 = "data" }\n' + port("vm1", first) + port("vm1", second)
                  + '[target.vm2]\nluns = { 0 = "vm2" }\n' + port("vm2", other))
    gateway.start()
    discovery(checks, first, second, other)
    images(checks, gateway.folder, first, second)
    at_once(checks, first, second, other)
    descriptions(checks, [first, second])
    reservations(checks, first, second)
    multipath_suite(checks, first, second)
    checks.check("SIGTERM ends it with status 0", gateway.stop() == 0)


def another_host(gateway: Gateway, checks: Checks) -> None:
    """The addresses of examples/portals.toml, and an initiator that has only a network to reach them by."""
    first, second = Route("192.0.2.10", 3260, VM1), Route("198.51.100.10", 3260, VM1, group=2)
    other, local = Route("192.0.2.10", 3260, VM2), Route("127.0.0.1", 3260, LOCAL)
    with OtherHost(near=["192.0.2.10/24", "198.51.100.10/24"], far=["192.0.2.9/24", "198.51.100.9/24"]) as host:
        gateway.write(STORES + '[target.vm1]\nopen = true\nluns = { 0 = "vm1" }\n' + port("vm1", first)
                      + port("vm1", second) + '[target.vm2]\nopen = true\nluns = { 0 = "vm2" }\n' + port("vm2", other)
                      + '[target.local]\nluns = { 0 = "local" }\n' + port("local", local))
        gateway.start()
        for path, pattern, reader in ((first, "0x44", second), (second, "0x55", first)):
            wrote = host.run("qemu-io", "--image-opts", path.unit(), "-c", f"write -P {pattern} 1M 1M", "-c", "flush")
            read = host.run("qemu-io", "--image-opts", reader.unit(), "-c", f"read -P {pattern} 1M 1M")
            checks.check(f"another host writes by group {path.group} and reads by group {reader.group}",
                         wrote.returncode == 0 and read.returncode == 0
                         and "failed" not in wrote.stdout + read.stdout)
        shown = discovered(first.portal, host.prefix)
        checks.check("it discovers both targets, and no port that listens on loopback alone",
                     shown == [(VM1, "192.0.2.10:3260,1"), (VM1, "198.51.100.10:3260,2"), (VM2, "192.0.2.10:3260,1")])
        for portal in (first, second):
            not_found(checks, f"nor does it reach that port by its name at {portal.portal}",
                      Route(portal.host, portal.number, LOCAL), host.prefix)
        connect = f"import socket; socket.create_connection(('{local.host}', {local.number}), 10)"
        checks.check("nor by its address, which leads an initiator to itself",
                     "ConnectionRefusedError" in host.run(sys.executable, "-c", connect).stderr)
        here = qemu_io(local, RAM, "write -P 0x66 0 1M", "read -P 0x66 0 1M")
        checks.check("on this host the port serves", "wrote 1048576" in here)
    checks.check("SIGTERM ends it with status 0", gateway.stop() == 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    program = parser.parse_known_args()[0].sluice.resolve()
    checks = Checks()
    for scenario in [another_host] if inside() else [two_paths]:
        with own_gateway(program, checks) as gateway:
            try:
                scenario(gateway, checks)
            except (StepFailed, TargetError, subprocess.TimeoutExpired) as failure:
                checks.check(f"{scenario.__name__}: {failure}", False)
    if not inside():
        again_in_namespace(checks, "another host", "true", program)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
