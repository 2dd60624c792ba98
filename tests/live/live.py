#!/usr/bin/env python3
"""Live change: LUNs added, removed and resized by `sluice apply` under verified I/O on another LUN; a file that can't
be applied changes nothing; access lists and kicks take effect. usage: live.py PROGRAM"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway  # noqa: E402
from initiator import Initiator, persistent_reserve_out, registration  # noqa: E402

NAME = "iqn.2026-11.io.sluice:live"
INITIATOR = "iqn.2026-11.io.sluice:load"


def url(gateway, lun):
    return f"iscsi://{gateway.portal}/{NAME}/{lun}"


def body(luns, sizes=None, access="", port=0):
    """Stores a … d, and a target with these LUNs."""
    sizes = sizes or {}
    text = ""
    for name in "abcd":
        text += f'[store.{name}]\ntype = "ram"\nsize = "{sizes.get(name, "64MiB")}"\n'
    mapped = ", ".join(f'{lun} = "{name}"' for lun, name in luns.items())
    text += f'[target.live]\nluns = {{ {mapped} }}\n'
    text += f'[[target.live.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = ["127.0.0.1:{port}"]\n'
    return text + access


def luns_of(gateway):
    # By a real REPORT LUNS.
    done = subprocess.run(["iscsi-ls", "-s", f"iscsi://{gateway.portal}"], capture_output=True, text=True, timeout=30)
    return sorted(int(n) for n in re.findall(r"Lun:(\d+)", done.stdout))


def picture(gateway):
    """What must not change when an apply is refused."""
    status = gateway.ask("status")
    units = [(u["name"], u["size_bytes"], u["serial"], u["naa"]) for u in status["units"]]
    return (
        units,
        [(t["name"], t["luns"], t["ports"]) for t in status["targets"]],
        [s["name"] for s in status["stores"]],
    )


def size_of(gateway, lun):
    done = subprocess.run(
        ["qemu-img", "info", "--output=json", "-f", "raw", url(gateway, lun)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    return json.loads(done.stdout)["virtual-size"]


def start_load(gateway, load):
    """Verified I/O on LUN 0 until stop_load()."""
    host, port = gateway.portal.rsplit(":", 1)
    return subprocess.Popen(
        [
            load,
            "--host",
            host,
            "--port",
            port,
            "--target",
            NAME,
            "--lun",
            "0",
            "--initiator",
            INITIATOR,
            "--depth",
            "16",
            "--extent",
            "4096",
            "--write-percent",
            "50",
            "--verify",
            "--region",
            str(32 << 20),
            "--seconds",
            "600",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def stop_load(io):
    """What it says; it reads all back before that."""
    io.send_signal(signal.SIGINT)
    return io.communicate(timeout=60)[0]


def reservations(gateway, checks):
    """What an operator sees of persistent reservations, and how a dead cluster's are dropped."""
    host_port = int(gateway.portal.rsplit(":", 1)[1])
    with Initiator(host_port, NAME, "iqn.2026-11.io.sluice:cluster", lun=1) as host:
        while host.execute(bytes(6)).status:  # until its unit attentions are told
            pass
        host.execute(persistent_reserve_out(0), registration(0, 0xC1057E4, False)).must_be_good("REGISTER")
        host.execute(persistent_reserve_out(1, 5), registration(0xC1057E4, 0, False)).must_be_good("RESERVE")
        seen = gateway.ask("pr", "show", "b")
        checks.check(
            "pr show names the holder, its key and the type",
            seen["type"] == "write exclusive, registrants only"
            and [(r["key"], r["holder"]) for r in seen["registrants"]] == [("0x000000000c1057e4", True)],
        )
        unsaid = gateway.run("pr", "clear", "b", check=False)
        kept = gateway.ask("pr", "show", "b")["registrants"]
        checks.check("pr clear wants --yes", unsaid.returncode != 0 and "--yes" in unsaid.stderr and len(kept) == 1)
        gateway.run("pr", "clear", "b", "--yes")
        cleared = gateway.ask("pr", "show", "b")
        checks.check("and drops all of them", cleared["registrants"] == [] and cleared["type"] == "")
        told = host.execute(bytes(6))
        checks.check("which the initiator is told", told.status == 2 and told.sense[14:16] == b"\x2a\x03")
    unknown = gateway.run("pr", "show", "nobody", check=False)
    checks.check("a unit that is not there is a sentence", unknown.returncode == 1 and "nobody" in unknown.stderr)


def looks(gateway, checks):
    """`top` and `events` while there is something to see."""
    rates = gateway.run("top", "--interval", "500ms", "--count", "1").stdout
    row = next((line.split() for line in rates.splitlines() if line.startswith("a ") and "write" in line), None)
    checks.check("top shows the rate of the load", row is not None and float(row[2]) > 0)
    told = [event["what"] for event in gateway.ask("events")["events"]]
    checks.check("events tell of the login", any(INITIATOR in what for what in told))


def scenario(gateway, load, checks):
    gateway.write(body({0: "a", 1: "b"}))
    gateway.start(listen=False)
    checks.check("the service manager hears that it is ready", gateway.heard() == "READY=1")
    checks.check("and that its event loops turn", gateway.heard() == "WATCHDOG=1")
    threading.Thread(target=gateway.listen, daemon=True).start()
    checks.check("two LUNs at the start", luns_of(gateway) == [0, 1])
    io = start_load(gateway, load)
    deadline = time.monotonic() + 10
    while not gateway.session_ids(INITIATOR) and time.monotonic() < deadline:
        time.sleep(0.05)
    sessions = gateway.session_ids(INITIATOR)
    checks.check("the load is logged in", len(sessions) == 1)
    looks(gateway, checks)
    reservations(gateway, checks)

    gateway.apply(body({0: "a", 1: "b", 5: "c"}))
    checks.check("a LUN appears", luns_of(gateway) == [0, 1, 5])
    written = subprocess.run(
        ["qemu-io", "-f", "raw", "-c", "write -P 0x5a 0 1M", "-c", "read -P 0x5a 0 1M", url(gateway, 5)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    checks.check("and serves", written.returncode == 0 and "error" not in written.stdout.lower())
    gateway.apply(body({0: "a", 1: "b", 5: "c"}, sizes={"b": "128MiB"}))
    checks.check("a LUN grows", size_of(gateway, 1) == 128 << 20)
    gateway.apply(body({0: "a", 5: "c"}, sizes={"b": "128MiB"}))
    checks.check("a LUN goes", luns_of(gateway) == [0, 5])

    before = picture(gateway)
    grown = {"b": "128MiB"}
    gateway.write(body({0: "a", 5: "c", 6: "nobody"}, grown))
    refused = gateway.run("apply", str(gateway.config), check=False)
    checks.check(
        "a dangling name is refused, with its place", refused.returncode != 0 and "sluice.toml:" in refused.stderr
    )
    gateway.write(
        body({0: "a", 5: "c"}, grown).replace(
            "[target.live]", '[store.x]\ntype = "file"\npath = "/nonexistent/x"\nsize = "1MiB"\n[target.live]', 1
        )
    )
    refused = gateway.run("apply", str(gateway.config), check=False)
    checks.check(
        "a store that can't be opened is refused, with the reason",
        refused.returncode != 0 and "nonexistent" in refused.stderr,
    )
    checks.check("and all is as it was", picture(gateway) == before and luns_of(gateway) == [0, 5])

    checks.check("the load's session was never disturbed", gateway.session_ids(INITIATOR) == sessions)
    output = stop_load(io)
    checks.check("the load verified all that it wrote", io.returncode == 0)
    if io.returncode != 0:
        print(output)

    io = start_load(gateway, load)
    deadline = time.monotonic() + 10
    while not gateway.session_ids(INITIATOR) and time.monotonic() < deadline:
        time.sleep(0.05)
    victim = gateway.session_ids(INITIATOR)[0]
    gateway.run("session", "kick", str(victim))
    io.communicate(timeout=60)
    checks.check("a kicked session ends", victim not in gateway.session_ids(INITIATOR))

    gateway.apply(body({0: "a", 5: "c"}, grown, access=f'[target.live.access."iqn.2026-11.io.sluice:somebody"]\n'))
    checks.check("an access list shuts the others out", luns_of(gateway) == [])
    gateway.apply(body({0: "a", 5: "c"}, grown))
    checks.check("and without it they are back", luns_of(gateway) == [0, 5])
    checks.check("SIGTERM ends it with status 0", gateway.stop() == 0)

    gateway.write(body({0: "a"}).replace("64MiB", "sixty", 1))
    never = subprocess.run(
        [gateway.program, "serve", "--config", str(gateway.config)], capture_output=True, text=True, timeout=30
    )
    checks.check("a wrong file never starts half a gateway", never.returncode == 2 and "ready" not in never.stdout)


def main():
    program = os.path.abspath(sys.argv[1])
    load = str(pathlib.Path(program).parent / "sluice-load")
    checks = Checks()
    with own_gateway(program, checks) as gateway:
        scenario(gateway, load, checks)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
