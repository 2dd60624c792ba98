#!/usr/bin/env python3
"""Replays what real initiators were seen to send (clients/): each key that one offers has an answer, and each command
of its probe ends GOOD, or as its line says. usage: replay.py PROGRAM"""
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "harness"))

from gateway import Checks, one_unit, own_gateway, play  # noqa: E402
from initiator import ConnectionLost, Initiator, test_unit_ready  # noqa: E402

NAME, HOST = "iqn.2026-11.io.sluice:replay", "iqn.2026-11.io.sluice:client"
# Said, not offered: no answer is due [RFC7143 13].
DECLARED = {"InitiatorName", "InitiatorAlias", "TargetName", "SessionType", "MaxRecvDataSegmentLength"}


class Client(Initiator):
    """`record`: the file of an initiator. `offers` and `answers` of its login, by key."""

    def __init__(self, record: pathlib.Path, port: int):
        self.logins: list[tuple[int, dict[str, str]]] = []  # flags of the request, keys
        self.commands: list[tuple[bytes, int, str]] = []  # CDB, octets to be read, answer
        self.answers: dict[str, str] = {}
        for line in record.read_text().splitlines():
            words = line.split()
            if line.startswith("login "):
                self.logins.append((int(words[1], 16), {}))
            elif line.startswith("command "):
                self.commands.append((bytes.fromhex(words[1]), int(words[2]), words[3] if words[3:] else "GOOD"))
            elif not line.startswith("#"):
                key, value = line.split("=", 1)
                self.logins[-1][1][key] = {"TARGET": NAME, "INITIATOR": HOST}.get(value, value)
        super().__init__(port, NAME, HOST)

    @property
    def offers(self) -> set[str]:
        return {key for _, keys in self.logins for key in keys} - DECLARED

    def _log_in(self, target: str, name: str, number: int) -> None:
        for flags, keys in self.logins:
            header = bytearray(48)
            header[0:2] = 0x43, flags
            header[8] = 0x80
            struct.pack_into(">H", header, 12, number)
            struct.pack_into(">II", header, 24, self.cmd_sn, self.exp_stat_sn)
            self._send(header, "".join(f"{key}={value}\0" for key, value in keys.items()).encode())
            reply, data = self._receive()
            if reply[0] & 0x3F != 0x23 or reply[36] or reply[1] & 0x8F != flags & 0x8F:
                raise ConnectionLost(f"login: flags {reply[1]:02x}h, status {reply[36]:02x}{reply[37]:02x}h")
            self.exp_stat_sn = struct.unpack_from(">I", reply, 24)[0] + 1
            self.answers |= dict(pair.split("=", 1) for pair in data.decode().split("\0") if "=" in pair)


def replay(scene, record: pathlib.Path) -> None:
    gateway, checks = scene
    with Client(record, int(gateway.portal.rsplit(":", 1)[1])) as client:
        bad = {"NotUnderstood", "Reject", "Irrelevant"}
        wrong = {key: client.answers.get(key) for key in client.offers
                 if client.answers.get(key) is None or client.answers[key] in bad}
        checks.check(f"{record.stem}: {len(client.offers)} keys are answered {wrong or ''}", not wrong)
        client.execute(test_unit_ready())  # takes the unit attention
        failed = []
        for cdb, room, wanted in client.commands:
            answer = str(client.execute(cdb, data_in_length=room))
            if answer != wanted:
                failed.append(f"{cdb.hex()}: {answer}")
        checks.check(f"{record.stem}: {len(client.commands)} commands are answered {failed or ''}",
                     client.commands and not failed)
        client.log_out()


def main() -> int:
    checks = Checks()
    with own_gateway(sys.argv[1], checks) as gateway:
        gateway.write(one_unit(NAME, type="file", path="a.raw", size="64MiB"))
        gateway.start()
        records = sorted((HERE / "clients").glob("*.txt"))
        play([lambda scene, record=record: replay(scene, record) for record in records], (gateway, checks), checks)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
