#!/usr/bin/env python3
"""Targets, portals and groups over real sockets: what a portal serves, what discovery tells, what a changed file does
to ports and sessions. usage: ports.py PROGRAM"""

import pathlib
import re
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, own_gateway  # noqa: E402
from initiator import ConnectionLost, Initiator  # noqa: E402
from namespace import again_in_namespace, inside  # noqa: E402
from paths import discovered, target_port_groups, until_ready  # noqa: E402
from targets import free_port  # noqa: E402

A, B, LOCAL = (f"iqn.2026-11.io.sluice:{name}" for name in ("a", "b", "local"))
HOST = "iqn.1994-05.com.example:host"
STORES = "".join(f'[store.{name}]\ntype = "ram"\nsize = "8MiB"\n' for name in "abc")
# An interface dum0 with addresses of documentation, and one of its link.
DUM0 = ("ip link add dum0 type veth peer name dum1 && ip link set dum1 up && ip link set dum0 up && "
        "ip addr add 192.0.2.1/24 dev dum0 && ip addr add 2001:db8::1/64 dev dum0 nodad && sleep 2.5")


def target(name, store, more=""):
    return f'[target.{name}]\nluns = {{ 0 = "{store}" }}\n' + more


def port(target_name, name, listen, more=""):
    addresses = ", ".join(f'"{each}"' for each in listen)
    return f'[[target.{target_name}.port]]\nfabric = "iscsi"\nname = "{name}"\nlisten = [{addresses}]\n' + more


def logs_in(number, name, initiator=HOST, isid=1):
    """None when the target admits us, else why not."""
    try:
        with Initiator(number, name, initiator, number=isid) as session:
            session.log_out()
        return None
    except (ConnectionLost, OSError) as error:
        return str(error)


def shared_portal(gateway, checks):
    """Two targets behind one address, one of them in another group elsewhere, a third on an address of its own."""
    one, two, own = free_port(), free_port(), free_port()
    gateway.write(
        STORES
        + target("a", "a") + port("a", A, [f"127.0.0.1:{one}"]) + port("a", A, [f"127.0.0.1:{two}"], "group = 2\n")
        + target("b", "b") + port("b", B, [f"127.0.0.1:{one}"])
        + target("local", "c") + port("local", LOCAL, [f"127.0.0.1:{own}"])
    )
    gateway.start()
    checks.check("both targets of a shared portal take logins", logs_in(one, A) is None and logs_in(one, B) is None)
    checks.check("a name finds its target whatever its case", logs_in(one, A.replace("sluice:a", "Sluice:A")) is None)
    checks.check("a target is not reached through another's portal", "0203" in (logs_in(one, LOCAL) or ""))
    checks.check("nor a group through a portal that is not its own", "0203" in (logs_in(two, B) or ""))
    found = discovered(f"127.0.0.1:{one}")
    checks.check(
        "discovery shows what the portal serves, with all groups",
        found == sorted([(A, f"127.0.0.1:{one},1"), (A, f"127.0.0.1:{two},2"), (B, f"127.0.0.1:{one},1")]),
    )
    checks.check("and nothing of others", discovered(f"127.0.0.1:{own}") == [(LOCAL, f"127.0.0.1:{own},1")])
    groups(gateway, checks, one, two)
    changes(gateway, checks, one, two, own)
    checks.check("SIGTERM ends it with status 0", gateway.stop() == 0)


def groups(gateway, checks, one, two):
    """A target in two portal groups is one device with two ports: RFC 7143 4.2.7, SPC-4 5.15."""
    with Initiator(one, A, HOST) as first, Initiator(two, A, HOST) as second:
        until_ready(first)
        until_ready(second)
        checks.check("the same initiator port has a session at each group", first.execute(bytes(6)).status == 0)
        described = target_port_groups(first)
        ports = [port for group in described.values() for port in group.ports]
        checks.check("REPORT TARGET PORT GROUPS shows two groups with a port each",
                     sorted(described) == [1, 2] and len(ports) == len(set(ports)) == 2)
        pages = [session.execute(bytes([0x12, 1, 0x83, 1, 0, 0]), data_in_length=256).data
                 for session in (first, second)]
        names = [f"{A},t,0x000{group}".encode() for group in (1, 2)]
        checks.check("page 83h names the port that was asked",
                     names[0] in pages[0] and names[1] in pages[1] and names[0] not in pages[1])
        ports = sorted((s["group"], s["port"]) for s in gateway.sessions())
        checks.check("status tells the sessions' groups", ports == [(1, A), (2, A)])


def changes(gateway, checks, one, two, own):
    """Ports change while a session at one of their portals goes on."""
    more = free_port()

    def file(listen_a, name_b=B, more_a=""):
        return (
            STORES
            + target("a", "a") + port("a", A, listen_a, more_a) + port("a", A, [f"127.0.0.1:{two}"], "group = 2\n")
            + target("b", "b") + port("b", name_b, [f"127.0.0.1:{one}"])
            + target("local", "c") + port("local", LOCAL, [f"127.0.0.1:{own}"])
        )

    with Initiator(one, A, HOST) as stays:
        gateway.apply(file([f"127.0.0.1:{one}"]))
        checks.check("the unchanged file is applied", logs_in(one, A, isid=2) is None)
        gateway.apply(file([f"127.0.0.1:{one}", f"127.0.0.1:{more}"]))
        checks.check("a portal comes", logs_in(more, A, isid=2) is None)
        gateway.apply(file([f"127.0.0.1:{one}", f"127.0.0.1:{more}"], more_a="data_digest = false\n"))
        gateway.apply(file([f"127.0.0.1:{one}"]))
        checks.check("and goes", logs_in(more, A, isid=2) is not None)
        gateway.apply(file([f"127.0.0.1:{one}"], name_b=B + "2"))
        checks.check("a target gets another name at the same address",
                     logs_in(one, B + "2") is None and "0203" in (logs_in(one, B) or ""))
        sessions = gateway.sessions()
        stays.execute(bytes(6))
        checks.check("the session at the portal that stays goes on", len(sessions) == 1)
    with Initiator(more_after(gateway, file, one, more), A, HOST) as leaves, Initiator(one, A, HOST, number=2) as stays:
        gateway.apply(file([f"127.0.0.1:{one}"]))
        lost = False
        try:
            for _ in range(100):
                leaves.execute(bytes(6))
        except ConnectionLost:
            lost = True
        stays.execute(bytes(6))
        checks.check("a portal that goes ends its own sessions only", lost)


def more_after(gateway, file, one, more):
    gateway.apply(file([f"127.0.0.1:{one}", f"127.0.0.1:{more}"]))
    return more


def many_targets(gateway, checks):
    """More targets than 8192 octets of text hold: in pieces as large as the initiator declared."""
    number = free_port()
    text = STORES + target("a", "a")
    for i in range(130):
        text += (f'[target.t{i}]\n'
                 + port(f"t{i}", f"iqn.2026-11.io.sluice:a-target-with-a-rather-long-name-{i:03}",
                        [f"127.0.0.1:{number}"]))
    gateway.write(text)
    gateway.start()
    checks.check("libiscsi sees 130 targets", len(discovered(f"127.0.0.1:{number}")) == 130)
    checks.check("SIGTERM ends it with status 0", gateway.stop() == 0)


def wildcards(gateway, checks):
    """Run in a network namespace with an interface dum0: 192.0.2.1, and a link-local address."""
    four, six, named = free_port(), free_port(), free_port()
    shown = subprocess.run(["ip", "-6", "addr", "show", "dev", "dum0"], capture_output=True, text=True, timeout=10)
    link_local = re.search(r"fe80::[0-9a-f:]+", shown.stdout).group()
    gateway.write(
        STORES
        + target("a", "a", "open = true\n")
        + port("a", A, [f"0.0.0.0:{four}", f"[::]:{six}", f"[{link_local}%dum0]:{named}"])
        + target("b", "b", "open = true\n")
        + port("b", B, [f"127.0.0.1:{named}", f"192.0.2.1:{named}"])
        + target("local", "c", "open = true\n")
        + port("local", LOCAL, [f"127.0.0.1:{named + 1}"], 'advertise = ["gw.example.com:3260"]\n')
    )
    gateway.start()

    checks.check("a wildcard is told as the address that was found, of its family",
                 discovered(f"192.0.2.1:{four}") == [(A, f"192.0.2.1:{four},1")])
    checks.check("IPv6 likewise", discovered(f"[2001:db8::1]:{six}") == [(A, f"[2001:db8::1]:{six},1")])
    # A peer that comes from 192.0.2.1 is not on loopback as far as anybody can tell.
    checks.check("loopback is not told to others", discovered(f"192.0.2.1:{named}") == [(B, f"192.0.2.1:{named},1")])
    checks.check("but on loopback it is", (B, f"127.0.0.1:{named},1") in discovered(f"127.0.0.1:{named}"))
    checks.check("what is advertised is told",
                 discovered(f"127.0.0.1:{named + 1}") == [(LOCAL, "gw.example.com:3260,1")])
    with socket.socket(socket.AF_INET6) as link:
        link.settimeout(10)
        link.connect((link_local, named, 0, socket.if_nametoindex("dum0")))
        checks.check("a link-local address with its interface is listened on", True)
    checks.check("SIGTERM ends it with status 0", gateway.stop() == 0)


def main():
    program = str(pathlib.Path(sys.argv[1]).resolve())
    checks = Checks()
    for scenario in [wildcards] if inside() else [shared_portal, many_targets]:
        with own_gateway(program, checks) as gateway:
            scenario(gateway, checks)
    if not inside():
        again_in_namespace(checks, "wildcards", DUM0, program)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
