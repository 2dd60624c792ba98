#!/usr/bin/env python3
"""A gateway of a thousand RAM stores, each with a LUN: it starts, and serves the last like the first. usage:
crowd.py PROGRAM"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway, play  # noqa: E402
from initiator import GOOD, Initiator, read_16, test_unit_ready, write_16  # noqa: E402
from live import NAME  # noqa: E402

COUNT = 1000
DATA = bytes(range(256)) * 16


def body():
    names = [f"ram{number:04}" for number in range(COUNT)]
    stores = "".join(f'[store.{name}]\ntype = "ram"\nsize = "1GiB"\n' for name in names)
    luns = ", ".join(f'{lun} = "{name}"' for lun, name in enumerate(names))
    return (f'{stores}[target.live]\nluns = {{ {luns} }}\n[[target.live.port]]\nfabric = "iscsi"\nname = "{NAME}"\n'
            'listen = ["127.0.0.1:0"]\n')


def flat(number):
    """A LUN above 255 as the initiator of these tests wants it: two octets, in flat addressing [SAM-5 4.7]."""
    return number if number < 256 else 0x4000 | number


def serves(scene):
    gateway, check = scene
    health = [unit["health"] for unit in gateway.ask("status")["units"]]
    check(f"{COUNT} units are there and well", health == ["good"] * COUNT)
    with Initiator(int(gateway.portal.rsplit(":", 1)[1]), NAME, "iqn.2026-11.io.sluice:host") as host:
        right = 0
        for number in (0, 255, 256, COUNT - 1):
            host.lun = flat(number)
            while host.execute(test_unit_ready()).status != GOOD:  # unit attentions
                pass
            host.execute(write_16(1000 + number, 8, False), DATA).must_be_good("WRITE")
            right += host.execute(read_16(1000 + number, 8), data_in_length=4096).data == DATA
        check("the first and the last hold what is written", right == 4)
        host.log_out()


def main():
    checks = Checks()
    with own_gateway(sys.argv[1], checks) as gateway:
        gateway.write(body())
        gateway.start()
        play([serves], (gateway, checks.check), checks)
        checks.check("an orderly stop", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
