#!/usr/bin/env python3
"""The state directory on a file system that is small, full, read only, used twice or damaged: whatever must last is
refused in words or by a status, all else serves, and when there is space again all is as it was. Needs root, for
mounts of its own. usage: state_directory.py PROGRAM"""
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from changes import body, ram, session_of, until_told  # noqa: E402
from gateway import Checks, own_gateway, play  # noqa: E402
from initiator import persistent_reserve_out, read_16, registration, write_16  # noqa: E402
from namespace import again_with_own_mounts, inside  # noqa: E402

KEEPS_NOTHING = "05/55/04"  # insufficient registration resources
NOT_SAVED = "04/44/00"  # internal target failure
PATIENCE_S = 20


def until(holds, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


class Scene:
    def __init__(self, gateway, checks):
        self.gateway, self.check = gateway, checks.check
        self.state = gateway.folder / "state"
        self.filler = self.state / "filler"
        self.key = 0
        self.status_of_aborted = 0
        self.fills = True
        self.stores = {"a": ram()}
        gateway.write(self.body())

    def body(self, more=""):
        return body(self.stores, {}, {lun: name for lun, name in enumerate(self.stores)}) + more

    def mount(self):
        self.state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", self.state], check=True)

    def unmount(self):
        subprocess.run(["umount", "--lazy", self.state], check=True)

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", self.state], check=True)

    def fill(self):
        with self.filler.open("ab", buffering=0) as out:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while out.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self):
        self.filler.unlink()

    def health(self):
        return self.gateway.ask("status")["gateway"]["state_health"]

    def unit(self):
        return [(u["serial"], u["naa"]) for u in self.gateway.ask("status")["units"] if u["name"] == "a"]

    def register(self, host):
        """Another key for this host, or its first, that is to last."""
        answer = host.execute(persistent_reserve_out(6), registration(0, self.key + 1, True))
        if answer.status == 0:
            self.key += 1
        return str(answer)

    def refused(self, host, act):
        """What `act` says where nothing can be kept. The log's last blocks take many registrations first, and a
        database that recovers takes less room than before."""
        for _ in range(20):
            for _ in range(20000):
                if self.fills:
                    self.fill()
                if self.register(host) != "GOOD":
                    break
            if self.fills:
                self.fill()
            if (answer := act()) != "GOOD":
                return answer
        return "GOOD"

    def save_mode_page(self, host):
        """The control page, with SP; another one each time."""
        self.status_of_aborted ^= 0x40
        page = bytes(4) + bytes([0x0A, 0x0A, 0x02, 0x10, 0, self.status_of_aborted]) + bytes(6)
        return str(host.execute(bytes([0x15, 0x11, 0, 0, len(page), 0]), page))

    def moves_data(self, host):
        data = os.urandom(4096)
        return (host.execute(write_16(8, 8, True), data).status == 0
                and host.execute(read_16(8, 8), data_in_length=4096).data == data)

    def serves_but_keeps_nothing(self, host, when):
        for what, act, status in (("registration that is to last", self.register, KEEPS_NOTHING),
                                  ("mode page that is to be saved", self.save_mode_page, NOT_SAVED)):
            told = self.refused(host, lambda act=act: act(host))
            self.check(f"{when}: a {what} is refused: {told}", told == status)
        self.check(f"{when}: data move", self.moves_data(host))
        told = self.refused(host, lambda: self.health().replace("good", "GOOD"))
        self.check(f"{when}: status says it: {told}", "cannot be written" in told)

    def keeps(self, host, when):
        self.check(f"{when}: the state is good again", until(lambda: self.health() == "good"))
        self.check(f"{when}: a registration lasts", self.register(host) == "GOOD")
        self.check(f"{when}: a mode page is saved", self.save_mode_page(host) == "GOOD")


def full(scene):
    gateway, check = scene.gateway, scene.check
    scene.mount()
    gateway.start()
    names = scene.unit()
    with session_of(gateway) as host:
        until_told(host)
        scene.keeps(host, "with space")
        scene.serves_but_keeps_nothing(host, "full")

        def apply_new_unit():
            scene.stores["b"] = ram()
            gateway.write(scene.body())
            done = gateway.run("apply", str(gateway.config), check=False)
            if done.returncode != 0:
                return done.stderr.strip()
            del scene.stores["b"]
            gateway.apply(scene.body())
            return "GOOD"

        told = scene.refused(host, apply_new_unit)
        check(f"full: a new unit is refused in words: {told}", "unit.b" in told and "cannot be written" in told)
        del scene.stores["b"]
        scene.stores["a"] = ram("32MiB")
        gateway.write(scene.body())
        check("full: what keeps nothing is applied",
              gateway.run("apply", str(gateway.config), check=False).returncode == 0)
        check("full: data move after it", until_told(host) is not None and scene.moves_data(host))
    check("full: SIGTERM ends it with status 0", gateway.stop() == 0)
    kept = scene.key
    gateway.start()
    check("full: it starts, and the unit is who it was", scene.unit() == names)
    shown = gateway.ask("pr", "show", "a")["registrants"]
    check("full: what was to last is there", len(shown) == 1 and int(shown[0]["key"], 16) <= kept)
    with session_of(gateway) as host:
        until_told(host)
        scene.serves_but_keeps_nothing(host, "started full")
        scene.free()
        scene.keeps(host, "freed")
        scene.refused(host, lambda: scene.register(host))
    gateway.process.kill()
    gateway.process.wait()
    scene.free()
    gateway.start()
    check("killed when full: it starts, and the unit is who it was", scene.unit() == names)
    shown = gateway.ask("pr", "show", "a")["registrants"]
    check("killed when full: what was acknowledged is there", [int(r["key"], 16) for r in shown] == [scene.key])
    check("SIGTERM ends it with status 0", gateway.stop() == 0)


def read_only(scene):
    gateway, check = scene.gateway, scene.check
    scene.mount()
    scene.fills = False
    gateway.start()
    names = scene.unit()
    check("SIGTERM ends it", gateway.stop() == 0)
    scene.remount("ro")
    gateway.start()
    check("read only: it starts, and the unit is who it was", scene.unit() == names)
    with session_of(gateway) as host:
        until_told(host)
        scene.serves_but_keeps_nothing(host, "read only")
        scene.remount("rw")
        scene.keeps(host, "writable")
    check("SIGTERM ends it with status 0", gateway.stop() == 0)


def refused(gateway):
    """The sentence of a start that is refused."""
    never = subprocess.run([gateway.program, "serve", "--config", str(gateway.config)], capture_output=True, text=True,
                           timeout=60, check=False)
    assert never.returncode == 1, never
    return never.stderr.strip().splitlines()[-1]


def new_and_full(scene):
    scene.mount()
    scene.fill()
    told = refused(scene.gateway)
    scene.check(f"a new state directory without space is a sentence: {told}", "cannot be written" in told)
    scene.free()
    scene.gateway.start()
    scene.check("and with space it starts", scene.gateway.stop() == 0)


def two_gateways(scene):
    scene.gateway.start()
    told = refused(scene.gateway)
    scene.check(f"a second gateway is refused: {told}",
                "used by another gateway" in told and str(scene.gateway.process.pid) in told)
    scene.check("the first one goes on", scene.gateway.stop() == 0)


def damaged(scene):
    gateway, check = scene.gateway, scene.check
    gateway.start()
    names = scene.unit()
    with session_of(gateway) as host:
        until_told(host)
        check("a registration lasts", scene.register(host) == "GOOD")
    gateway.process.kill()
    gateway.process.wait()
    log = max(scene.state.glob("*.log"), key=lambda path: path.stat().st_size)
    whole = log.read_bytes()
    for octet in (5, 20, len(whole) - 1):
        log.write_bytes(whole[:octet] + bytes([whole[octet] ^ 0x10]) + whole[octet + 1:])
        told = refused(gateway)
        check(f"a flipped bit in octet {octet} of the log is told: {told}",
              "damaged" in told and f"sluice state repair {scene.state}" in told)
    log.write_bytes(whole[:5] + bytes([whole[5] ^ 0x10]) + whole[6:])  # the length of the first record, of all epochs
    repair = subprocess.run([gateway.program, "state", "repair", str(scene.state)], capture_output=True, text=True,
                            timeout=60, check=False)
    check(f"the repair says what is left: {repair.stdout}{repair.stderr}",
          repair.returncode == 0 and f"unit a: serial {names[0][0]}" in repair.stdout)
    gateway.start()
    check("the unit is who it was", scene.unit() == names)
    shown = gateway.ask("pr", "show", "a")["registrants"]
    check("and its registration is there", [int(r["key"], 16) for r in shown] == [scene.key])
    check("SIGTERM ends it", gateway.stop() == 0)


ACTS = {"mounts": (full, read_only, new_and_full), "plain": (two_gateways, damaged)}


def main():
    program = os.path.abspath(sys.argv[1])
    checks = Checks()
    for act in ACTS["mounts" if inside() else "plain"]:
        with own_gateway(program, checks) as gateway:
            scene = Scene(gateway, checks)
            play([act], scene, checks)
            if inside():
                scene.unmount()
    if not inside():
        again_with_own_mounts(checks, "small file systems", program)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
