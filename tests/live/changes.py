#!/usr/bin/env python3
"""Changes of a running gateway as an operator makes them: what a plan says and refuses, sizes that commands left, names
that were configured, and that nobody waits for an apply which takes its time. usage: changes.py PROGRAM"""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway  # noqa: E402
from initiator import Initiator, read_16, read_capacity_16, test_unit_ready, write_16  # noqa: E402
from live import NAME, size_of  # noqa: E402
from targets import free_port  # noqa: E402

HOST = "iqn.2026-11.io.sluice:operator"
AT_ONCE_S = 2.0  # of a command line: a look takes a tenth of it, a loaded machine the rest


def body(stores, units, luns, listen=("127.0.0.1:0",), more=""):
    mapped = ", ".join(f'{lun} = "{name}"' for lun, name in luns.items())
    where = ", ".join(f'"{each}"' for each in listen)
    return (
        "".join(f"[store.{name}]\n{keys}\n" for name, keys in stores.items())
        + "".join(f"[unit.{name}]\n{keys}\n" for name, keys in units.items())
        + f"[target.live]\nluns = {{ {mapped} }}\n{more}"
        + f'[[target.live.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = [{where}]\n'
    )


def ram(size="16MiB"):
    return f'type = "ram"\nsize = "{size}"'


def timed(gateway, *arguments):
    began = time.monotonic()
    done = gateway.run(*arguments, check=False)
    return done, time.monotonic() - began


def session_of(gateway, number=1, lun=0):
    return Initiator(int(gateway.portal.rsplit(":", 1)[1]), NAME, HOST, number=number, lun=lun)


def until_told(session):
    """Unit attentions, as ASC and ASCQ, until there are no more."""
    told = []
    while (answer := session.execute(bytes(6))).status == 2:
        told.append(answer.sense[14:16].hex())
    return told


def plans(gateway, checks):
    """A plan says what an apply does, exits 0 only for what it would do, and both speak JSON."""
    check = checks.check

    def two(listen=("127.0.0.1:0",)):
        return body({"a": ram(), "b": ram()}, {}, {0: "a", 1: "b"}, listen)

    gateway.write(two())
    gateway.start()
    other = gateway.folder / "other.toml"
    portal = gateway.portal
    second = free_port()

    def plan(text, *more):
        gateway.write(text, other)
        return gateway.run("plan", str(other), *more, check=False)

    with session_of(gateway) as host:
        until_told(host)
        swapped = plan(body({"a": ram(), "b": ram()}, {}, {0: "b", 1: "b"}))
        check("another disk behind a LUN is said in words", "LUN 0 = a -> b: another disk" in swapped.stdout)
        listed = json.loads(plan(body({"a": ram(), "c": ram()}, {}, {0: "a", 2: "c"}), "--json").stdout)
        luns = [(s["action"], s["name"], s["target"], s["lun"]) for s in listed["steps"] if "lun" in s]
        check("a plan in JSON has the members of its steps",
              luns == [("unmap_lun", "b", "live", 1), ("map_lun", "c", "live", 2)])
        gone = plan(two([f"127.0.0.1:{second}"]))
        check("a plan says how many sessions it ends", gone.returncode == 0 and "(ends 1 session)" in gone.stdout)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", second))
            taken.listen()
            for command in ("plan", "apply"):
                gateway.write(two([portal, f"127.0.0.1:{second}"]), other)
                refused = gateway.run(command, str(other), check=False)
                check(f"an address that is taken is refused by {command}",
                      refused.returncode == 1 and "! " in refused.stdout and "in use" in refused.stdout)
        gateway.write(two(["127.0.0.1:0", f"127.0.0.1:{second}"]), other)
        gateway.run("apply", str(other))
        check("a portal comes and ends nobody's session", host.execute(bytes(6)).status == 0)
        nowhere = 'type = "file"\npath = "/nonexistent/x"\nsize = "1MiB"'
        for command in ("plan", "apply"):
            gateway.write(body({"a": ram(), "b": ram(), "x": nowhere}, {}, {0: "a", 1: "b"}), other)
            refused = gateway.run(command, str(other), check=False)
            check(f"a store that cannot be opened is refused by {command}",
                  refused.returncode == 1 and "! store.x: " in refused.stdout)
        wrong = plan("[store.a]\ntype = 3\n", "--json")
        told = json.loads(wrong.stdout)
        check("a wrong file is told in JSON too", wrong.returncode == 2 and told["ok"] is False
              and told["errors"][0]["key"] == "store.a.type")
        nobody = gateway.run("session", "kick", "4711", "--json", check=False)
        check("so are errors", nobody.returncode == 1 and json.loads(nobody.stdout)["code"] == "not_found")


def another_disk(gateway, checks):
    """A unit that comes behind a LUN is another disk to whoever had the LUN; at the others the list of LUNs changes."""
    gateway.write(body({"a": ram(), "b": ram()}, {}, {0: "a", 1: "b"}))
    gateway.start()
    with session_of(gateway) as host:
        for host.lun in (1, 0):
            until_told(host)
        gateway.apply(body({"b": ram(), "c": ram()}, {}, {0: "c", 1: "b"}))
        told = until_told(host)
        checks.check(f"another disk behind a LUN is told: {told}", "3f03" in told)
        host.lun = 1
        told = until_told(host)
        checks.check(f"what stays hears of the list alone: {told}", told == ["3f0e"])
    checks.check("SIGTERM ends it", gateway.stop() == 0)


def same_disk(gateway, checks):
    """A cache over what a LUN names makes another disk of it, unless the file does what the plan says."""
    disk = f'type = "file"\npath = "{gateway.folder}/images.raw"\nsize = "16MiB"'
    cache = 'type = "cache"\nover = "images"\nram = "4MiB"'
    gateway.write(body({"images": disk}, {}, {0: "images"}))
    gateway.start()

    def disks():
        return [(unit["name"], unit["serial"], unit["naa"]) for unit in gateway.ask("status")["units"]]

    before = disks()
    gateway.write(body({"images": disk, "hot": cache}, {}, {0: "hot"}))
    told = gateway.run("plan", str(gateway.config)).stdout
    advice = ("images -> hot: another disk behind the same LUN over the same blocks; "
              'to keep the disk: 0 = "images", and store = "hot" under [unit.images]\n')
    checks.check(f"a plan says how the disk is kept: {told}", advice in told)
    gateway.apply(body({"images": disk, "hot": cache}, {"images": 'store = "hot"'}, {0: "images"}))
    checks.check("so it is the same disk, over the cache", disks() == before
                 and gateway.ask("status")["units"][0]["store"] == "hot")
    gateway.apply(body({"images": disk}, {}, {0: "images"}))
    checks.check("and the same without it", disks() == before)
    checks.check("SIGTERM ends it", gateway.stop() == 0)


def sizes(gateway, checks):
    """`unit resize` against the file."""
    check = checks.check

    def text(size):
        return body({"f": f'type = "file"\npath = "{gateway.folder}/f.raw"\nsize = "{size}"'}, {}, {0: "f"})

    gateway.write(text("16MiB"))
    gateway.start()
    told = gateway.run("unit", "resize", "f", "32MiB").stdout
    check("a resize says what the file must say", 'write size = "32MiB" under [store.f]' in told)
    planned = gateway.run("plan", str(gateway.config)).stdout
    check("a plan with the old size warns and cuts nothing", "? store.f.size" in planned and "32MiB" in planned)
    gateway.run("apply", str(gateway.config))
    check("nor does an apply", size_of(gateway, 0) == 32 << 20)
    check("an orderly stop", gateway.stop() == 0)
    gateway.start()
    check("the next start serves what the store has", size_of(gateway, 0) == 32 << 20)
    shown = next(s for s in gateway.ask("status")["stores"] if s["name"] == "f")
    check("and says so in status and log", "32MiB" in shown["warning"]
          and "not as the file says" in (gateway.folder / "log").read_text())
    gateway.run("unit", "resize", "f", "16MiB", "--shrink")
    gateway.write(text("24MiB"))
    check("a plan grows from what runs", "size 16MiB -> 24MiB" in gateway.run("plan", str(gateway.config)).stdout)
    check("SIGTERM ends it", gateway.stop() == 0)


def missing_file(gateway, checks):
    """A store's file that is gone is no empty disk under the unit's name."""
    check = checks.check
    disk = gateway.folder / "f.raw"

    def text(more="", path=disk):
        return body({"f": f'type = "file"\npath = "{path}"\nsize = "16MiB"\n{more}', "a": ram()},
                    {}, {0: "f", 1: "a"})

    gateway.write(text())
    gateway.start()
    check("a new unit's file is made, and the log says so", "made an empty store" in gateway.log() and disk.exists())
    before = gateway.ask("status")["units"]
    gateway.write(text(path=gateway.folder / "elsewhere.raw"))
    for command in ("plan", "apply"):
        refused = gateway.run(command, str(gateway.config), check=False)
        check(f"an absent file behind a known unit is refused by {command}",
              refused.returncode == 1 and "create = true" in refused.stdout)
    check("SIGTERM ends it", gateway.stop() == 0)
    gateway.write(text())
    disk.rename(gateway.folder / "kept")
    gateway.start()
    health = {unit["name"]: unit["health"] for unit in gateway.ask("status")["units"]}
    check(f"a file that is gone costs its unit at a start, and that says why: {health}",
          f"{disk} is absent" in health["f"] and "create = true" in health["f"] and health["a"] == "good")
    check("the log too", "a unit is left out unit=" in gateway.log())
    check("and none is made", not disk.exists())
    with session_of(gateway) as host:
        missing = str(host.execute(test_unit_ready()))
        host.lun = 1
        until_told(host)
        check(f"its LUN is absent ({missing}), the other one serves", missing == "05/25/00")
        for command in ("plan", "apply"):
            refused = gateway.run(command, str(gateway.config), check=False)
            check(f"{command} goes on to refuse it", refused.returncode == 1 and f"{disk} is absent" in refused.stdout)
        (gateway.folder / "kept").rename(disk)
        gateway.run("apply", str(gateway.config))
        check("with the file back it serves",
              [(u["serial"], u["health"]) for u in gateway.ask("status")["units"]]
              == [(u["serial"], "good") for u in before])
        check("and who is logged in is told", "3f0e" in until_told(host))
    check("SIGTERM ends it", gateway.stop() == 0)
    disk.rename(gateway.folder / "kept")
    gateway.start()
    (gateway.folder / "kept").rename(disk)
    deadline = time.monotonic() + 30
    while [u["health"] for u in gateway.ask("status")["units"]] != ["good", "good"] and time.monotonic() < deadline:
        time.sleep(0.2)
    with session_of(gateway) as host:
        until_told(host)
        health = [u["health"] for u in gateway.ask("status")["units"]]
        check(f"a file that comes late is found by itself: {health}",
              health == ["good", "good"] and "a unit is there again unit=f" in gateway.log())
    gateway.write(text("create = true\n"))
    check("saying create = true is no change",
          "nothing to change" in gateway.run("plan", str(gateway.config)).stdout)
    check("SIGTERM ends it", gateway.stop() == 0)
    disk.unlink()
    gateway.start()
    check("create = true begins with an empty one", disk.stat().st_size == 16 << 20)
    check("SIGTERM ends it", gateway.stop() == 0)


def large_blocks(gateway, checks):
    """A device of blocks of 4096 octets."""
    check = checks.check
    image = gateway.folder / "image"
    image.write_bytes(bytes(16 << 20))
    made = subprocess.run(["losetup", "--find", "--show", "--sector-size", "4096", str(image)], capture_output=True,
                          text=True, timeout=30, check=False)
    if made.returncode != 0:
        checks.skip("a device of blocks of 4096 octets", made.stderr.strip())
        return
    device = made.stdout.strip()
    try:
        stores = {"d": f'type = "block"\npath = "{device}"'}
        gateway.write(body(stores, {"d": 'store = "d"\nblock_size = 512'}, {0: "d"}))
        never = subprocess.run([gateway.program, "serve", "--config", gateway.config], capture_output=True, text=True,
                               timeout=60, check=False)
        check(f"smaller blocks than the device's are refused: {never.stderr.strip().splitlines()[-1:]}",
              never.returncode == 1 and "unit.d: block_size" in never.stderr and "4096" in never.stderr)
        gateway.write(body(stores, {}, {0: "d"}))
        gateway.start()
        with session_of(gateway) as host:
            until_told(host)
            capacity = host.execute(read_capacity_16(), data_in_length=32).data
            check("the device's blocks are the default", struct.unpack_from(">QI", capacity) == (4095, 4096))
            data = os.urandom(4096)
            host.execute(write_16(5, 1, True), data).must_be_good("WRITE")
            check("and it is read", host.execute(read_16(5, 1), data_in_length=4096).data == data)
        check("SIGTERM ends it", gateway.stop() == 0)
    finally:
        subprocess.run(["losetup", "--detach", device], timeout=30, check=False)


def names(gateway, checks):
    """Names that migration keeps."""
    check = checks.check
    keys = (
        'store = "a"\nnaa = "naa.6001405aabbccddeeff001122334455a"\nserial = "vm1-0001"\nvendor = "ACME"\n'
        'product = "Disk"\nrotational = true\n'
    )
    gateway.write(body({"a": ram()}, {"u": keys}, {0: "u"}))
    gateway.start()
    with session_of(gateway) as host:
        until_told(host)
        page = host.execute(bytes([0x12, 1, 0x83, 1, 0, 0]), data_in_length=256).data
        check("page 83h has the configured name", bytes.fromhex("6001405aabbccddeeff001122334455a") in page)
        serial = host.execute(bytes([0x12, 1, 0x80, 1, 0, 0]), data_in_length=256).data
        check("page 80h the serial number", b"vm1-0001" in serial)
        about = host.execute(bytes([0x12, 0, 0, 0, 96, 0]), data_in_length=96).data
        check("INQUIRY vendor and product", about[8:32] == b"ACME    Disk            ")
        gateway.apply(body({"a": ram()}, {"u": keys.replace("Disk", "Other")}, {0: "u"}))
        check("another product is told", "3f03" in until_told(host))
        check("without being asked, too", 0x3F03 in host.events)
        gateway.write(body({"a": ram()}, {"u": keys.replace("vm1-0001", "vm1-0002")}, {0: "u"}))
        refused = gateway.run("plan", str(gateway.config), check=False)
        check("another serial number under a running unit is refused",
              refused.returncode == 1 and "! unit.u.serial" in refused.stdout)
    check("SIGTERM ends it", gateway.stop() == 0)


def secrets(gateway, checks):
    secret = gateway.folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text("a-secret-of-16-octets\n")
    access = f'[target.live.access."{HOST}"]\nchap = {{ user = "x", secret_file = "{secret}" }}\n'
    gateway.write(body({"a": ram()}, {}, {0: "a"}) + access)
    gateway.start()
    unchanged = gateway.run("plan", str(gateway.config)).stdout
    secret.write_text("another-secret-of-it\n")
    changed = gateway.run("plan", str(gateway.config)).stdout
    checks.check("a rotated secret is a step", "nothing to change" in unchanged
                 and f"~ target live: access of {HOST}: another secret in its file" in changed)
    gateway.run("apply", str(gateway.config))
    checks.check("that is done once", "nothing to change" in gateway.run("plan", str(gateway.config)).stdout)
    gateway.write("[store.a]\ntype = 3\n")
    gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while "store.a.type" not in (gateway.folder / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    checks.check("SIGHUP with a wrong file logs why", "store.a.type" in (gateway.folder / "log").read_text())
    checks.check("SIGTERM ends it", gateway.stop() == 0)


def nobody_waits(gateway, checks):
    """A cache that is taken away drains into a slow medium: an apply of many seconds."""
    check = checks.check
    http = free_port()
    slow = {
        "f": f'type = "file"\npath = "{gateway.folder}/slow.raw"\nsize = "64MiB"',
        "slow": 'type = "fault"\nover = "f"\ndelay = "6s"',
        "hot": 'type = "cache"\nover = "slow"\nram = "4MiB"\nmode = "write-back"\nvolatile_dirty = "16MiB"',
        "a": ram(),
    }
    with_cache = body(slow, {"vm": 'store = "hot"'}, {0: "a", 1: "vm"})
    bare = {name: keys for name, keys in slow.items() if name != "hot"}
    without = body(bare, {"vm": 'store = "slow"'}, {0: "a", 1: "vm"})

    def write(text, path=None):
        gateway.write(text, path)
        target = path or gateway.config
        target.write_text(target.read_text().replace("[gateway]\n", f'[gateway]\nhttp = "127.0.0.1:{http}"\n', 1))

    write(with_cache)
    gateway.start()
    other = gateway.folder / "without.toml"
    write(without, other)
    with session_of(gateway) as host, session_of(gateway, 2, lun=1) as writer:
        until_told(host)
        until_told(writer)
        writer.execute(bytes.fromhex("2a000000000000000800"), os.urandom(4096)).must_be_good("WRITE")
        command = [gateway.program, "apply", str(other), "--control", str(gateway.socket)]
        applying = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 5
        while "change" not in gateway.ask("status") and time.monotonic() < deadline:
            pass
        status, took = timed(gateway, "status", "--json")
        change = json.loads(status.stdout).get("change", {})
        check(f"status says what is under way: {change}", "an apply of" in change.get("what", ""))
        check(f"and waits for nothing: {took:.2f} s", took < AT_ONCE_S)
        for words in (("events",), ("pr", "show", "vm"), ("plan", str(gateway.config)), ("session", "ls")):
            done, took = timed(gateway, *words)
            check(f"nor does {words[0]}: {took:.2f} s", done.returncode == 0 and took < AT_ONCE_S)
        began = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/health", timeout=5) as answer:
            check("/health answers", answer.status == 200 and time.monotonic() - began < AT_ONCE_S)
        for words in (("apply", str(other)), ("unit", "resize", "a", "32MiB")):
            refused, took = timed(gateway, *words)
            check(f"another {words[0]} is refused in words",
                  refused.returncode == 1 and "is under way since" in refused.stderr and took < AT_ONCE_S + 1)
        victim = min(s["id"] for s in gateway.sessions())
        done, took = timed(gateway, "session", "kick", str(victim))
        check("a session is kicked meanwhile", done.returncode == 0 and took < AT_ONCE_S)
        fed = gateway.told.count("WATCHDOG=1")
        check("the apply is still at it", applying.poll() is None)
        output, _ = applying.communicate(timeout=60)
        fed = gateway.told.count("WATCHDOG=1") - fed
        check(f"the service manager's watchdog is fed meanwhile: {fed} times", fed >= 3)
        check("and comes to its end", applying.returncode == 0 and "- store hot" in output)
    write(with_cache)
    gateway.run("apply", str(gateway.config))
    with session_of(gateway, 3, lun=1) as writer:
        until_told(writer)
        writer.execute(bytes.fromhex("2a000000000000000800"), os.urandom(4096)).must_be_good("WRITE")
        applying = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 5
        while "change" not in gateway.ask("status") and time.monotonic() < deadline:
            pass
        gateway.process.send_signal(signal.SIGTERM)
        _, told = applying.communicate(timeout=60)
        check("SIGTERM takes an apply back", applying.returncode == 1 and "the gateway stops" in told)
    check("and ends the gateway", gateway.process.wait(timeout=60) == 0)


def main():
    program = os.path.abspath(sys.argv[1])
    checks = Checks()
    for scenario in (plans, another_disk, same_disk, sizes, missing_file, large_blocks, names, secrets, nobody_waits):
        with own_gateway(program, checks) as gateway:
            scenario(gateway, checks)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
