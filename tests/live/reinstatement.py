#!/usr/bin/env python3
"""A host whose connection is replaced by another one in the same session [RFC7143 6.3.4]: its reservation, its session
and its view of the unit stay, its tasks end. usage: reinstatement.py PROGRAM"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, one_unit, own_gateway, play  # noqa: E402
from initiator import (ConnectionLost, Initiator, persistent_reserve_out, read_16, registration,  # noqa: E402
                       test_unit_ready, write_16)
from live import NAME  # noqa: E402

HOST, OTHER = "iqn.2026-11.io.sluice:host", "iqn.2026-11.io.sluice:other"
BLOCKS = 8
EXCLUSIVE_ACCESS = 3
ROUNDS = 20  # so that old and new connections are of the same core, and of different ones


class Scene:
    def __init__(self, gateway, checks):
        self.gateway, self.checks = gateway, checks

    def host(self, name, **more):
        return Initiator(int(self.gateway.portal.rsplit(":", 1)[1]), NAME, name, **more)


def ready(host):
    for _ in range(4):  # unit attentions
        if host.execute(test_unit_ready()).status == 0:
            return host
    raise AssertionError("the unit does not become ready")


def is_gone(host):
    try:
        host.ping()
        return False
    except ConnectionLost:
        return True


def reinstates(scene):
    """Round after round the connection is another one, in the midst of a write, and the reservation holds."""
    check = scene.checks.check
    host = ready(scene.host(HOST))
    host.execute(persistent_reserve_out(0), registration(0, 0xA, False)).must_be_good("REGISTER")
    host.execute(persistent_reserve_out(1, EXCLUSIVE_ACCESS), registration(0xA, 0, False)).must_be_good("RESERVE")
    ids = scene.gateway.session_ids(HOST)
    told, silent, written = [], 0, 0
    for number in range(ROUNDS):
        _, debt = host.owe(write_16(0, BLOCKS, False), b"\xdd" * 512 * BLOCKS)
        again = scene.host(HOST, continues=host)
        told.append(str(again.execute(test_unit_ready())))
        silent += is_gone(host)
        host.socket.close()
        host = again
        data = bytes([number + 1]) * 512 * BLOCKS
        written += host.execute(write_16(0, BLOCKS, False), data).status == 0
        written += host.execute(read_16(0, BLOCKS), data_in_length=len(data)).data == data
    check(f"no unit attention waits: {set(told)}", set(told) == {"GOOD"})
    check(f"the old connections are closed: {silent}", silent == ROUNDS)
    check(f"writes and reads go on: {written}", written == 2 * ROUNDS)
    check("it is one session all along", scene.gateway.session_ids(HOST) == ids)
    peers = [session["peer"] for session in scene.gateway.sessions()]
    check(f"status shows from where it is reached: {peers}",
          [peer.rsplit(":", 1)[1] for peer in peers] == [str(host.socket.getsockname()[1])])
    with scene.host(OTHER) as other:
        other.execute(test_unit_ready())
        answer = other.execute(write_16(0, BLOCKS, False), bytes(512 * BLOCKS))
        check(f"the reservation holds: {answer}", answer.status == 0x18)
    host.log_out()


def refuses(scene):
    """What is no session's connection gets nowhere, and harms nobody."""
    host = ready(scene.host(HOST))
    for what, name, number in (("another name", OTHER, 1), ("another ISID", HOST, 2)):
        try:
            scene.host(name, number=number, continues=host)
            said = "welcome"
        except ConnectionLost as refusal:
            said = str(refusal)
        scene.checks.check(f"{what}: {said}", "020a" in said)
    host.execute(test_unit_ready()).must_be_good("TEST UNIT READY")
    host.log_out()
    ended = host
    try:
        scene.host(HOST, continues=ended)
        said = "welcome"
    except ConnectionLost as refusal:
        said = str(refusal)
    scene.checks.check(f"a session that has logged out: {said}", "020a" in said)


def main() -> int:
    checks = Checks()
    with own_gateway(sys.argv[1], checks) as gateway:
        gateway.write(one_unit(NAME, type="ram", size="16MiB"))
        gateway.start()
        play((reinstates, refuses), Scene(gateway, checks), checks)
        checks.check("it ends in order", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
