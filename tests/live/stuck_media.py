#!/usr/bin/env python3
"""Media that do not answer, and hosts that wait for them: sessions end and begin anew at once, other LUNs go on,
aborts, resets and SIGTERM are answered in bounded time, who looks waits for nobody. usage: stuck_media.py PROGRAM"""
import json
import os
import pathlib
import socket
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from frozen import frozen_files  # noqa: E402
from gateway import Checks, own_gateway, play  # noqa: E402
from initiator import (ABORT_TASK, LOGICAL_UNIT_RESET, ConnectionLost, Initiator,  # noqa: E402
                       read_16, synchronize_cache_16, test_unit_ready, write_16)
from live import NAME  # noqa: E402

AT_ONCE_S, PATIENCE_S, STOP_S = 1.0, 2.0, 6.0
LOOK_S, LOOKS = 0.1, 20
HOST, OTHER = "iqn.2026-11.io.sluice:host", "iqn.2026-11.io.sluice:other"
MIB = b"\x5a" * (1 << 20)

HUNG = """[store.slow]
type = "{below}"
size = "64MiB"
{path}
[store.hung]
type = "fault"
over = "slow"
delay = "600 s"
deadline = "30 s"
"""
REFUSING = """[store.slow]
type = "ram"
size = "64MiB"
[store.hung]
type = "fault"
over = "slow"
{what}_ppm = 1000000
"""
IN_MEMORY = """[store.cache]
type = "cache"
over = "hung"
ram = "16MiB"
mode = "write-back"
volatile_dirty = "16MiB"
"""
WRITE_BACK = """[store.cache]
type = "cache"
over = "hung"
ram = "16MiB"
mode = "write-back"
flash.path = "flash"
flash.size = "96MiB"
flash.dirty = "16MiB"
"""


def body(over, stores):
    text = '[store.a]\ntype = "ram"\nsize = "64MiB"\n' + stores
    text += f'[unit.good]\nstore = "a"\n[unit.stuck]\nstore = "{over}"\n'
    text += '[target.live]\nluns = { 0 = "good", 1 = "stuck" }\n'
    return text + f'[[target.live.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = ["127.0.0.1:0"]\n'


HELD_BACK_S = 2.5


class Scene:
    def __init__(self, gateway, checks):
        self.gateway, self.checks = gateway, checks

    def log_in(self, name=HOST, number=1):
        made = Initiator(int(self.gateway.portal.rsplit(":", 1)[1]), NAME, name, 0, number)
        for made.lun in (1, 0):
            self.get_ready(made)
        return made

    def come_back(self):
        """A login whose host looks at the LUN first that is well."""
        made = Initiator(int(self.gateway.portal.rsplit(":", 1)[1]), NAME, HOST)
        self.get_ready(made)
        return made

    def get_ready(self, host):
        """Takes the unit attentions; what the LUN says then."""
        for _ in range(4):
            told = str(host.execute(test_unit_ready()))
            if told in ("GOOD", "02/04/01"):
                break
        return told

    def within(self, limit, name, act):
        began = time.monotonic()
        result = act()
        took = time.monotonic() - began
        self.checks.check(f"{name}: within {limit:.0f} s ({took:.2f} s)", took < limit)
        return result

    def asked(self, command):
        """The answer at the control socket, and how long it took."""
        began = time.monotonic()
        with socket.socket(socket.AF_UNIX) as to:
            to.settimeout(30)
            to.connect(str(self.gateway.socket))
            to.sendall(json.dumps(command).encode() + b"\n")
            with to.makefile() as answers:
                answer = json.loads(answers.readline())
        assert answer["ok"], answer
        return answer["result"], time.monotonic() - began

    def look(self, when):
        """Status and events come soon while the medium hangs, and health says which one it is."""
        for command in ({"command": "status"}, {"command": "events", "arguments": {"since": 0}}):
            took = statistics.median(self.asked(command)[1] for _ in range(LOOKS))
            self.checks.check(f"{command['command']} {when}: median of {LOOKS} within {LOOK_S * 1000:.0f} ms "
                              f"({took * 1000:.1f} ms)", took < LOOK_S)
        health = {unit["name"]: unit["health"] for unit in self.asked({"command": "status"})[0]["units"]}
        self.checks.check(f"health {when} says which unit's medium hangs", health["good"] == "good"
                          and health["stuck"].startswith("the medium does not answer"))

    def hang(self, host, lba=0):
        """A write that the medium keeps; its tag."""
        host.lun = 1
        tag = host.submit(write_16(lba, 8, False), b"\xdd" * 4096)
        host.lun = 0
        host.execute(test_unit_ready())  # it has been taken
        return tag


def fill(scene, host):
    """Writes until the journal has no room: the tag of the write that is not answered."""
    host.lun = 1
    host.socket.settimeout(2)
    for number in range(64):
        tag = host.submit(write_16(number * 2048, 2048, False), MIB)
        try:
            answer = host.answer()
        except (ConnectionLost, socket.timeout):
            host.socket.settimeout(30)
            host.lun = 0
            return tag
        if answer.status != 0:
            raise AssertionError(f"a write ended with {answer}")
    raise AssertionError("the journal takes everything")


def sessions(scene):
    check, gateway = scene.checks.check, scene.gateway
    host = scene.log_in()
    scene.hang(host)
    again = scene.within(AT_ONCE_S, "reinstatement", scene.come_back)
    check("the other LUN serves", again.execute(test_unit_ready()).status == 0)
    again.lun = 1
    began = time.monotonic()
    check("the stuck one says that it is", scene.get_ready(again) == "02/04/01")
    check("though not at once, for hosts count how often they ask", time.monotonic() - began > HELD_BACK_S)
    scene.look("of a session's lost commands")
    scene.hang(again, 8)
    again.socket.close()
    again = scene.within(AT_ONCE_S, "a login after the connection broke", scene.come_back)
    scene.hang(again, 16)
    victim = gateway.session_ids(HOST)[0]

    def kick():
        gateway.run("session", "kick", str(victim))
        while gateway.session_ids(HOST):
            time.sleep(0.01)

    scene.within(AT_ONCE_S + 0.5, "session kick", kick)
    again.socket.close()
    host.socket.close()


def management(scene, hang, before_the_end=lambda: None):
    check = scene.checks.check
    host = scene.log_in()
    tag = hang(host)
    time.sleep(4)  # from 3 s on a medium is not well
    scene.look("of commands that wait")
    host.lun = 1
    check("ABORT TASK is done", scene.within(PATIENCE_S, "ABORT TASK", lambda: host.manage(ABORT_TASK, tag)) == 0)
    host.lun = 0
    check("the other LUN serves", host.execute(test_unit_ready()).status == 0)
    scene.hang(host, 65536)
    with scene.log_in(OTHER) as other:
        other.lun = 1
        check("LOGICAL UNIT RESET of another host is done",
              scene.within(PATIENCE_S, "LOGICAL UNIT RESET", lambda: other.manage(LOGICAL_UNIT_RESET)) == 0)
    scene.hang(host, 65544)
    before_the_end()
    check("SIGTERM ends it with status 0", scene.within(STOP_S, "SIGTERM", scene.gateway.stop) == 0)
    host.socket.close()


def full_below_memory(scene):
    """A medium without space under write-back in memory: who flushes is told what is the matter."""
    host = scene.log_in()
    host.lun = 1
    host.execute(write_16(0, 8, False), b"\xdd" * 4096).must_be_good("WRITE")
    scene.checks.check("a flush to a full medium is answered SPACE ALLOCATION FAILED WRITE PROTECT",
                       str(host.execute(synchronize_cache_16())) == "07/27/07")
    host.socket.close()


def taken_away(scene, stores, thaw=None):
    """A unit whose medium hangs goes at once; what it uses stays its own until the medium has answered."""
    check, gateway = scene.checks.check, scene.gateway
    host = scene.log_in()
    scene.hang(host, 4096)
    whole = gateway.config.read_text()
    less = whole.replace(stores, "").replace('[unit.stuck]\nstore = "hung"\n', "").replace(
        '[unit.stuck]\nstore = "frozen"\n', "").replace(', 1 = "stuck"', "")
    gateway.config.write_text(less)
    scene.within(AT_ONCE_S, "apply that takes the unit away", lambda: gateway.run("apply", str(gateway.config)))
    told = str(host.execute(test_unit_ready()))
    check("the other LUN serves, and tells that the LUNs changed",
          told == "06/3f/0e" and host.execute(test_unit_ready()).status == 0)
    host.lun = 1
    check("the LUN is gone", str(host.execute(test_unit_ready())) == "05/25/00")
    ending = scene.asked({"command": "status"})[0].get("ending", [])
    check("status shows it as ending", [each["name"] for each in ending] == ["stuck"])
    gateway.config.write_text(whole)
    for command in ("plan", "apply"):
        done = scene.within(AT_ONCE_S, f"{command} of it anew", lambda command=command: gateway.run(
            command, str(gateway.config), check=False))
        check(f"{command} refuses it, and says why", done.returncode == 1 and "unit.stuck" in done.stdout
              and "has not ended" in done.stdout)
    if thaw:
        thaw()
        deadline = time.monotonic() + 20
        while scene.asked({"command": "status"})[0].get("ending") and time.monotonic() < deadline:
            time.sleep(0.05)
        check("it ends when its medium answers", "ending" not in scene.asked({"command": "status"})[0])
        gateway.run("apply", str(gateway.config))
        again = scene.log_in(number=2)
        again.lun = 1
        check("and comes back", again.execute(write_16(0, 8, False), b"\xee" * 4096).status == 0)
        again.socket.close()
    host.socket.close()
    check("SIGTERM ends it with status 0", scene.within(STOP_S, "SIGTERM", gateway.stop) == 0)


def goes_over(scene, thaw):
    """A unit goes over to another store while the medium of its first one hangs: the LUN answers all the time, and its
    blocks are read and written when the first medium can write no more."""
    check, gateway = scene.checks.check, scene.gateway
    host = scene.log_in()
    scene.hang(host, 4096)
    gateway.config.write_text(gateway.config.read_text().replace('store = "frozen"', 'store = "b"')
                              + '[store.b]\ntype = "file"\npath = "b"\nsize = "128MiB"\n'
                              'create = true\ndeadline = "1 s"\n')
    scene.within(AT_ONCE_S + 0.5, "apply that gives the unit another store",
                 lambda: gateway.run("apply", str(gateway.config)))
    check("the other LUN serves", scene.get_ready(host) == "GOOD")
    other = scene.log_in(OTHER, 2)
    other.lun = 1
    answer = scene.within(3 + HELD_BACK_S, "a read", lambda: other.execute(read_16(0, 8), b"", 4096))
    check("that is told to wait", str(answer) == "BUSY")
    check("LOGICAL UNIT RESET is done", scene.within(PATIENCE_S, "LOGICAL UNIT RESET",
                                                     lambda: other.manage(LOGICAL_UNIT_RESET)) == 0)
    thaw()
    deadline = time.monotonic() + 20
    while (told := str(other.execute(read_16(4096, 8), b"", 4096))) != "GOOD" and time.monotonic() < deadline:
        time.sleep(0.05)
    check(f"blocks are served when the first medium has answered ({told})", told == "GOOD")
    check("what the first one was to write is not there",
          other.execute(read_16(4096, 8), b"", 4096).data == bytes(4096))
    for each in (host, other):
        each.socket.close()
    check("SIGTERM ends it with status 0", scene.within(STOP_S, "SIGTERM", gateway.stop) == 0)


def on_frozen_files(program, checks):
    """The same with a real file store. A process whose write waits in the kernel cannot end: thawed before that."""
    with frozen_files() as files:
        if files is None:
            print("skipped: no file system can be made here")
            return 1
        store = f'[store.frozen]\ntype = "file"\npath = "{files.mount}/disk"\nsize = "128MiB"\n'
        run(program, checks, "frozen", store,
            [lambda scene: files.freeze(True), sessions,
             lambda scene: management(scene, lambda host: scene.hang(host, 32768), lambda: files.freeze(False))])
        run(program, checks, "frozen", store,
            [lambda scene: files.freeze(True), lambda scene: taken_away(scene, store, lambda: files.freeze(False))])
        run(program, checks, "frozen", store + 'deadline = "1 s"\n',
            [lambda scene: files.freeze(True), lambda scene: goes_over(scene, lambda: files.freeze(False))])
    return 0


def run(program, checks, over, stores, acts):
    with own_gateway(program, checks) as gateway:
        scene = Scene(gateway, checks)
        gateway.write(body(over, stores))
        gateway.start()
        play(acts, scene, checks)


def main():
    program = os.path.abspath(sys.argv[1])
    checks = Checks()
    run(program, checks, "hung", HUNG.format(below="ram", path=""),
        [sessions, lambda scene: management(scene, lambda host: scene.hang(host, 32768))])
    run(program, checks, "hung", HUNG.format(below="ram", path=""),
        [lambda scene: taken_away(scene, HUNG.format(below="ram", path=""))])
    run(program, checks, "cache", HUNG.format(below="file", path='path = "image"') + WRITE_BACK,
        [lambda scene: management(scene, lambda host: fill(scene, host))])
    # A medium that always answers, and always no: the journal lets writes wait, and nobody has named a deadline.
    run(program, checks, "cache", REFUSING.format(what="write_error") + WRITE_BACK,
        [lambda scene: management(scene, lambda host: fill(scene, host))])
    run(program, checks, "cache", REFUSING.format(what="no_space") + IN_MEMORY, [full_below_memory])
    skipped = on_frozen_files(program, checks)
    print(f"{checks.passed} passed, {checks.failed} failed, {skipped} skipped")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
