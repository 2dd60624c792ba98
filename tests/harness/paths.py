"""What initiators learn of the paths to a unit: discovery, device identification, target port groups."""

import re
import subprocess
from dataclasses import dataclass

from initiator import Initiator, inquiry, test_unit_ready

DISCOVERY_S = 30
TARGET_PORT = 1  # association
RELATIVE_PORT, PORT_GROUP, SCSI_NAME = 4, 5, 8  # designator types [SPC-4 7.8.6]


def discovered(portal: str, prefix: list[str] = ()) -> list[tuple[str, str]]:
    """What SendTargets tells libiscsi at "host:port": pairs of target and "host:port,group"."""
    done = subprocess.run([*prefix, "iscsi-ls", f"iscsi://{portal}"], capture_output=True, text=True,
                          timeout=DISCOVERY_S, check=False)
    return sorted(re.findall(r"Target:(\S+) Portal:(\S+)", done.stdout))


def until_ready(session: Initiator) -> Initiator:
    """Takes the unit attentions that wait for a new session."""
    for _ in range(8):
        if session.execute(test_unit_ready()).status == 0:
            return session
    raise AssertionError("the unit does not become ready")


def inquiry_page(session: Initiator, page: int) -> bytes:
    return session.execute(inquiry(page), data_in_length=4096).must_be_good("INQUIRY").data


def designators(page_83h: bytes) -> list[tuple[int, int, bytes]]:
    """Association, type and octets of each designator, in order."""
    found, at = [], 4
    while at + 4 <= len(page_83h):
        length = page_83h[at + 3]
        found.append((page_83h[at + 1] >> 4 & 3, page_83h[at + 1] & 15, page_83h[at + 4:at + 4 + length]))
        at += 4 + length
    return found


def port_designator(page_83h: bytes, kind: int) -> bytes | None:
    """The one of this type that names the target port which was asked; None when there is not exactly one."""
    found = [octets for association, each, octets in designators(page_83h)
             if association == TARGET_PORT and each == kind]
    return found[0] if len(found) == 1 else None


def number_of(designator: bytes | None) -> int | None:
    """Of a relative target port or target port group designator."""
    return None if designator is None else int.from_bytes(designator[2:4], "big")


def unit_designators(page_83h: bytes) -> list[tuple[int, bytes]]:
    """Type and octets of those that name the unit: the same over each path."""
    return [(kind, octets) for association, kind, octets in designators(page_83h) if association == 0]


@dataclass
class PortGroup:
    state: int  # asymmetric access state; 0: active/optimized
    ports: list[int]  # relative target port identifiers


def target_port_groups(session: Initiator) -> dict[int, PortGroup]:
    """REPORT TARGET PORT GROUPS [SPC-4 6.37], by target port group."""
    data = session.execute(bytes([0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]), data_in_length=1024).must_be_good(
        "REPORT TARGET PORT GROUPS").data
    found, at = {}, 4
    while at + 8 <= len(data):
        end = at + 8 + 4 * data[at + 7]
        ports = [int.from_bytes(data[i + 2:i + 4], "big") for i in range(at + 8, end, 4)]
        found[int.from_bytes(data[at + 2:at + 4], "big")] = PortGroup(data[at] & 15, ports)
        at = end
    return found
