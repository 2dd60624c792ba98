#!/usr/bin/env python3
"""A host that owes the data of its writes for ever, and answers everything else, beside others that shut it out, order
their own commands, or take the LUN away: nobody waits for it. usage: owed_data.py PROGRAM"""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway, play  # noqa: E402
from initiator import (CLEAR_TASK_SET, LOGICAL_UNIT_RESET, ORDERED, TARGET_COLD_RESET, TARGET_WARM_RESET,  # noqa: E402
                       ConnectionLost, Initiator, persistent_reserve_out, read_16, registration, test_unit_ready,
                       write_16)
from live import NAME  # noqa: E402

AT_ONCE_S = 1.0
DEBTOR, HOST = "iqn.2026-11.io.sluice:debtor", "iqn.2026-11.io.sluice:host"
BLOCKS = 64
TASK_ABORTED = 0x40


def body(luns, port_keys=""):
    text = ""
    for name in "ab":
        text += f'[store.{name}]\ntype = "ram"\nsize = "64MiB"\n'
    mapped = ", ".join(f'{lun} = "{name}"' for lun, name in luns.items())
    text += f'[target.live]\nluns = {{ {mapped} }}\n'
    return text + f'[[target.live.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = ["127.0.0.1:0"]\n{port_keys}'


class Scene:
    def __init__(self, gateway, checks):
        self.gateway, self.checks = gateway, checks

    def host(self, name, lun=0):
        made = Initiator(int(self.gateway.portal.rsplit(":", 1)[1]), NAME, name, lun)
        for _ in range(4):  # unit attentions
            if made.execute(test_unit_ready()).status == 0:
                return made
        raise AssertionError("the unit does not become ready")

    def at_once(self, name, act):
        """The act's result, if it came in time."""
        began = time.monotonic()
        result = act()
        took = time.monotonic() - began
        self.checks.check(f"{name}: at once ({took * 1000:.0f} ms)", took < AT_ONCE_S)
        return result

    def debt(self, lun=0, attribute=1):
        debtor = self.host(DEBTOR, lun)
        return debtor, *debtor.owe(write_16(0, BLOCKS, False), b"\xdd" * 512 * BLOCKS, attribute)


def fences(scene):
    """What other hosts do to the debtor's tasks; what it pays late goes nowhere, and its session lives on."""
    check = scene.checks.check
    with scene.host(HOST) as host:
        must = lambda answer: check(f"answered {answer}", answer.status == 0)  # noqa: E731
        must(host.execute(persistent_reserve_out(0), registration(0, 0xA, False)))
        for name, function in (("LOGICAL UNIT RESET", LOGICAL_UNIT_RESET), ("CLEAR TASK SET", CLEAR_TASK_SET),
                               ("TARGET WARM RESET", TARGET_WARM_RESET)):
            debtor, tag, debt = scene.debt()
            check(f"{name} is done", scene.at_once(name, lambda f=function: host.manage(f)) == 0)
            debtor.forget(tag)
            debtor.pay(debt)
            debtor.forget(tag)
            debtor.ping()
            told = debtor.execute(test_unit_ready())
            check(f"{name}: the debtor hears of it: {told}", str(told) in ("06/29/03", "06/2f/00"))
            debtor.log_out()
            host.execute(test_unit_ready())
        debtor = scene.host(DEBTOR)
        must(debtor.execute(persistent_reserve_out(0), registration(0, 0xD, False)))
        tag, debt = debtor.owe(write_16(0, BLOCKS, False), b"\xdd" * 512 * BLOCKS)
        must(scene.at_once("PREEMPT AND ABORT",
                           lambda: host.execute(persistent_reserve_out(5, 5), registration(0xA, 0xD, False))))
        debtor.forget(tag)
        debtor.pay(debt)
        debtor.forget(tag)
        debtor.ping()
        content = host.execute(read_16(0, BLOCKS), b"", 512 * BLOCKS).data
        check("its late data are nowhere", content == bytes(512 * BLOCKS))
        must(host.execute(persistent_reserve_out(3), registration(0xA, 0, False)))
        debtor.log_out()


def task_aborted(scene):
    """With TAS = 1 the debtor hears TASK ABORTED, but not before its data are through."""
    check = scene.checks.check
    with scene.host(HOST) as host:
        page = bytearray(host.execute(bytes([0x1A, 8, 0x0A, 0, 252, 0]), b"", 252).data)
        page[0] = page[2] = 0
        page[4] &= 0x3F
        page[9] |= 0x40
        check("TAS is set", host.execute(bytes([0x15, 0x10, 0, 0, len(page), 0]), bytes(page)).status == 0)
        debtor, _, debt = scene.debt()
        check("CLEAR TASK SET is done", scene.at_once("CLEAR TASK SET, TAS", lambda: host.manage(CLEAR_TASK_SET)) == 0)
        debtor.ping()  # nothing is said of the task
        debtor.pay(debt)
        check("the debtor hears TASK ABORTED", debtor.answer().status == TASK_ABORTED)
        check("and goes on", debtor.execute(test_unit_ready()).status == 0)
        debtor.log_out()


def order(scene):
    """ORDERED commands of another host, and what comes behind them."""
    check = scene.checks.check
    for attribute in (1, ORDERED):
        debtor, _, debt = scene.debt(attribute=attribute)
        with scene.host(HOST) as host:
            host.submit(write_16(0, 8, False), b"\x11" * 4096, attribute=ORDERED)
            check("ORDERED is good", scene.at_once("ORDERED", host.answer).status == 0)
            check("and what comes behind it", scene.at_once("WRITE", lambda: host.execute(
                write_16(8, 8, False), b"\x12" * 4096)).status == 0)
            debtor.pay(debt)
            check("the debtor pays and is served", debtor.answer().status == 0)
        debtor.log_out()


def operator(scene):
    """apply takes the LUN away, kick ends the session, SIGTERM the gateway."""
    check, gateway = scene.checks.check, scene.gateway
    debtor, _, debt = scene.debt(lun=1)
    scene.at_once("apply", lambda: gateway.apply(body({0: "a"})))
    debtor.pay(debt)
    check("its command may be sent again", str(debtor.answer()) == "BUSY")
    check("and the LUN is gone", str(debtor.execute(test_unit_ready())) == "05/25/00")
    debtor.log_out()
    gateway.apply(body({0: "a", 1: "b"}))
    debtor, _, _ = scene.debt()
    victim = gateway.session_ids(DEBTOR)[0]

    def kick():
        gateway.run("session", "kick", str(victim))
        while gateway.session_ids(DEBTOR):
            time.sleep(0.01)

    scene.at_once("session kick", kick)
    debtor.socket.close()
    debtor, _, _ = scene.debt()
    with scene.host(HOST) as again:
        check("another host is served", again.execute(test_unit_ready()).status == 0)
    check("reinstatement is served", scene.at_once("login", lambda: scene.host(DEBTOR)) is not None)
    debtor.socket.close()
    debtor, _, _ = scene.debt()
    check("SIGTERM ends it with status 0", scene.at_once("SIGTERM", gateway.stop) == 0)
    debtor.socket.close()


def time_out(scene):
    """Data that do not come end their command after a time, and with that all that its own host has sent behind it."""
    check = scene.checks.check
    debtor, _, debt = scene.debt()
    debtor.submit(write_16(BLOCKS, 8, False), b"\x22" * 4096, attribute=ORDERED)
    began = time.monotonic()
    ends = [debtor.answer(), debtor.answer()]
    took = time.monotonic() - began
    check(f"the time is over ({took:.2f} s)", 0.9 < took < 3)
    check(f"the command ends: {ends[0]}", str(ends[0]) == "0b/4b/06")
    check("and what was behind it is served", ends[1].status == 0)
    debtor.pay(debt)
    debtor.forget(debt[0])
    check("late data are dropped", debtor.execute(read_16(0, BLOCKS), b"", 512 * BLOCKS).data == bytes(512 * BLOCKS))
    debtor.log_out()


def cold_reset(scene, allowed):
    check = scene.checks.check
    with scene.host(HOST) as host, scene.host(DEBTOR) as other:
        answer = host.manage(TARGET_COLD_RESET)
        check(f"TARGET COLD RESET is answered {answer}", answer == (0 if allowed else 6))
        try:
            alive = other.execute(test_unit_ready()).status == 0
        except ConnectionLost:
            alive = False
        check("the other host's session " + ("ends" if allowed else "goes on"), alive != allowed)


def run(program, checks, port_keys, acts):
    with own_gateway(program, checks) as gateway:
        scene = Scene(gateway, checks)
        gateway.write(body({0: "a", 1: "b"}, port_keys))
        gateway.start()
        play(acts, scene, checks)


def main():
    program = os.path.abspath(sys.argv[1])
    checks = Checks()
    run(program, checks, "", [fences, task_aborted, order, lambda scene: cold_reset(scene, False), operator])
    run(program, checks, 'data_out_timeout = "1 s"\ncold_reset = true\n',
        [time_out, lambda scene: cold_reset(scene, True)])
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
