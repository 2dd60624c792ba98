"""What runs on the host beside a guest: the gateway of each job, what the job's script is told of it, and what that may
ask the host to do."""

import re
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from ceph import Cluster
from gateway import Checks, Gateway, own_gateway
from initiator import Initiator, persistent_reserve_out, registration, test_unit_ready
from nodes import IMAGE, TARGET, Node
from nodes import gateways as nodes_of_cluster
from packages import LabError, qemu_that_reconnects
from targets import Sluice, Target, Tgt, Unit, free_port

HOST_IN_GUEST = "10.0.2.2"  # by QEMU's user network; what the guest sends there comes to this host's loopback
GUEST = "iqn.2026-11.io.sluice:guest"
NODE = "iqn.2026-11.io.sluice:node"  # another host, of this side
REGISTER, RESERVE, REGISTRANTS_ONLY = 0, 1, 5  # PERSISTENT RESERVE OUT, and a type of reservation [SPC-4 6.16]
DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
Requests = dict[str, Callable[[], None]]


class Hosting:
    """`environment`: the script's variables; `requests`: what it may ask for, by word; `processors`: of the guest;
    `counted`: its clock tells instructions, one a nanosecond, whatever else this host does; `qemu`: what runs it;
    `devices`: what it has besides, in QEMU's words."""

    def __init__(self, environment: dict[str, object], requests: Requests, processors: int = 1, counted: bool = False,
                 qemu: list | None = None, devices: list[str] | None = None):
        self.environment = {"GUEST": GUEST, "PORTAL_HOST": HOST_IN_GUEST} | environment
        self.requests = requests
        self.processors = processors
        self.counted = counted
        self.qemu = qemu or ["qemu-system-x86_64"]
        self.devices = devices or []


@contextmanager
def one_path(options, _job: Path):
    """One target with one LUN; the gateway, or tgt, restarts when asked to."""
    target: Target = Tgt(size=128 << 20) if options.target == "tgt" else Sluice(
        options.sluice, [Unit("file", "128MiB", {"thin": True})])

    def restart() -> None:
        if options.target == "tgt":
            target.kill()
        else:
            target.stop()
        target.start()

    with target:
        yield Hosting({"IQN": target.iqn, "PORT": target.port, "LUN": target.lun}, {"restart": restart})


@contextmanager
def job_gateway(options):
    """The gateway of a job, not started; it must end well with the block."""
    checks = Checks()
    with own_gateway(options.sluice, checks) as gateway:
        yield gateway
        checks.check("SIGTERM ends the gateway with status 0", gateway.stop() == 0)
        if checks.failed:
            raise LabError("the gateway did not end well")


class Kicks:
    """A thread that ends the sessions of a group, and those that follow them, until it is told to stop."""

    PAUSE_S = 0.5

    def __init__(self, gateway: Gateway, group: int):
        self.gateway, self.group = gateway, group
        self.count = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.go, daemon=True)

    def go(self) -> None:
        while not self.stop.wait(self.PAUSE_S):
            for session in self.gateway.sessions():
                if session["group"] == self.group:  # it may be gone by the time it is kicked
                    self.count += self.gateway.run("session", "kick", str(session["id"]), check=False).returncode == 0

    def start(self) -> None:
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join()
        print(f"host: ended {self.count} sessions of group {self.group}", flush=True)
        if self.count < 2:
            raise LabError("too few sessions were ended")


class TwoGroups:
    """A target in two portal groups, a portal each, and another target behind the first of the portals, whose session
    is to stay what it is."""

    def __init__(self, gateway: Gateway):
        self.gateway = gateway
        self.names = [f"iqn.2026-11.io.sluice:{name}" for name in ("vm1", "vm2")]
        self.portals = [free_port(), free_port()]
        self.kicks = Kicks(gateway, group=2)
        self.others: list[int] = []

    def body(self, groups: list[int]) -> str:
        """A configuration in which the first target has these groups."""
        text = ""
        for number, name in enumerate(("vm1", "vm2"), 1):
            text += (f'[store.{name}]\ntype = "file"\npath = "{name}.raw"\nsize = "64MiB"\n[target.{name}]\n'
                     f'luns = {{ 0 = "{name}" }}\n[target.{name}.access."{GUEST}"]\n')
            for group in groups if number == 1 else [1]:
                portal = self.portals[group - 1]
                text += (f'[[target.{name}.port]]\nfabric = "iscsi"\nname = "{self.names[number - 1]}"\n'
                         f'group = {group}\nlisten = ["127.0.0.1:{portal}"]\n'
                         f'advertise = ["{HOST_IN_GUEST}:{portal}"]\n')
        return text

    def sessions(self) -> None:
        """Prints what the gateway says of its paths; fails when the other target's session is not the one it was."""
        sessions = self.gateway.sessions()
        groups = Counter((each["port"].rsplit(":", 1)[1], each["group"]) for each in sessions)
        print("host: sessions: " + ", ".join(f"{name} group {group}: {count}" for (name, group), count
                                             in sorted(groups.items())), flush=True)
        others = [each["id"] for each in sessions if each["port"] == self.names[1]]
        if len(others) != 1 or self.others not in ([], others):
            raise LabError(f"the other target's session was {self.others}, is {others}")
        self.others = others

    def with_groups(self, *groups: int) -> Callable[[], None]:
        return lambda: self.gateway.apply(self.body(list(groups)))

    def requests(self) -> Requests:
        return {"kick": self.kicks.start, "end-kicks": self.kicks.end, "sessions": self.sessions,
                "both-groups": self.with_groups(1, 2), "without-group-1": self.with_groups(2),
                "without-group-2": self.with_groups(1), "without-groups": self.with_groups()}


def write_multipath_conf(job: Path, page: str) -> None:
    """What a page of docs tells operators to write: the job takes it from there."""
    found = re.search(r"^```multipath\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S)
    if not found:
        raise LabError(f"{page} has no block of multipath.conf")
    (job / "multipath.conf").write_text(found[1])


@contextmanager
def two_paths(options, job: Path):
    write_multipath_conf(job, "operations.md")
    with job_gateway(options) as gateway:
        groups = TwoGroups(gateway)
        gateway.write(groups.body([1, 2]))
        gateway.start()
        yield Hosting({"IQN": groups.names[0], "OTHER_IQN": groups.names[1], "PORT": groups.portals[0],
                       "SECOND_PORT": groups.portals[1]}, groups.requests())


@contextmanager
def two_gateways(options, job: Path):
    """An image of a Ceph cluster by two gateways; the first owns the unit."""
    write_multipath_conf(job, "cluster.md")
    with (Cluster(images={IMAGE: "256M"}) as cluster,
          nodes_of_cluster(options.sluice, cluster, 2, advertise=HOST_IN_GUEST) as nodes):
        first, second = nodes

        def move(to: Node) -> None:
            done = first.ask("unit", "move", "disk", "--to", to.name)
            if done.returncode:
                raise LabError(f"the unit does not move: {done.stderr}")

        move(first)
        yield Hosting({"IQN": TARGET, "PORT": first.port, "SECOND_PORT": second.port},
                      {"kill-first": lambda: first.end(signal.SIGKILL), "start-first": first.start,
                       "kill-second": lambda: second.end(signal.SIGKILL), "start-second": second.start,
                       "move-to-first": lambda: move(first), "move-to-second": lambda: move(second)})


@contextmanager
def changing_luns(options, _job: Path):
    with job_gateway(options) as gateway:
        name, portal = "iqn.2026-11.io.sluice:luns", free_port()

        def body(luns: str) -> str:
            stores = "".join(f'[store.{each}]\ntype = "ram"\nsize = "16MiB"\n[unit.{each}]\nstore = "{each}"\n'
                             for each in ("a", "b"))
            return (f'{stores}[target.main]\nluns = {{ {luns} }}\n[target.main.access."{GUEST}"]\n'
                    f'[[target.main.port]]\nfabric = "iscsi"\nname = "{name}"\nlisten = ["127.0.0.1:{portal}"]\n')

        one, both = '0 = "a"', '0 = "a", 1 = "b"'
        gateway.write(body(one))
        gateway.start()
        yield Hosting({"IQN": name, "PORT": portal}, {"add-lun": lambda: gateway.apply(body(both)),
                                                      "remove-lun": lambda: gateway.apply(body(one))})


class Flushes:
    """How many flushes the gateway has been asked for, from one look to the next."""

    def __init__(self, gateway: Gateway):
        self.gateway = gateway
        self.seen = 0

    def now(self) -> int:
        commands = self.gateway.ask("status")["units"][0]["commands"]
        return next((each["count"] for each in commands if each["class"] == "flush"), 0)

    def look(self) -> None:
        self.seen = self.now()

    def six_more(self) -> None:
        more = self.now() - self.seen
        print(f"host: {more} flushes", flush=True)
        if more < 6:
            raise LabError("six writes with fsync came with fewer flushes")


@contextmanager
def reserved_disk(options, _job: Path):
    """A file unit that another node has reserved, Write Exclusive - Registrants Only, before the guest looks at it."""
    with job_gateway(options) as gateway:
        name, portal = "iqn.2026-11.io.sluice:disk", free_port()
        gateway.write('[store.a]\ntype = "file"\npath = "a.raw"\nsize = "64MiB"\n[target.main]\nluns = { 0 = "a" }\n'
                      f'[target.main.access."{GUEST}"]\n[target.main.access."{NODE}"]\n'
                      f'[[target.main.port]]\nfabric = "iscsi"\nname = "{name}"\nlisten = ["127.0.0.1:{portal}"]\n')
        gateway.start()
        flushes = Flushes(gateway)
        with Initiator(portal, name, NODE) as node:
            node.execute(test_unit_ready())  # takes the unit attention
            for action, key, new_key in ((REGISTER, 0, 0xcafe), (RESERVE, 0xcafe, 0)):
                node.execute(persistent_reserve_out(action, REGISTRANTS_ONLY if action == RESERVE else 0),
                             registration(key, new_key, False)).must_be_good("PERSISTENT RESERVE OUT")
            naa = gateway.ask("status")["units"][0]["naa"].removeprefix("0x")
            yield Hosting({"IQN": name, "PORT": portal, "NAA": naa},
                          {"count-flushes": flushes.look, "six-flushes": flushes.six_more})


def boot_sector(says: str) -> bytes:
    """Real-mode code that says something on the console, and then nothing more."""
    code = bytes((0x31, 0xC0, 0x8E, 0xD8,  # xor ax, ax; mov ds, ax
                  0xBE, 0x12, 0x7C,  # mov si, text
                  0xAC, 0x84, 0xC0, 0x74, 0xFE,  # next: lodsb; test al, al; end: jz end
                  0xB4, 0x0E, 0xCD, 0x10, 0xEB, 0xF5))  # mov ah, 0eh; int 10h; jmp next
    return (code + says.encode() + b"\0").ljust(510, b"\0") + b"\x55\xaa"


@contextmanager
def late_disk(options, _job: Path):
    """A unit to boot from, whose medium takes two seconds for whatever it is asked."""
    with job_gateway(options) as gateway:
        name, portal = "iqn.2026-11.io.sluice:boot", free_port()
        (gateway.folder / "boot.raw").write_bytes(boot_sector("\r\nGUEST-RC=0\r\n"))
        gateway.write('[store.disk]\ntype = "file"\npath = "boot.raw"\nsize = "64MiB"\n'
                      '[store.late]\ntype = "fault"\nover = "disk"\ndelay = "2 s"\n'
                      f'[target.main]\nluns = {{ 0 = "late" }}\n[target.main.access."{GUEST}"]\n'
                      f'[[target.main.port]]\nfabric = "iscsi"\nname = "{name}"\nlisten = ["127.0.0.1:{portal}"]\n')
        gateway.start()
        yield Hosting({"IQN": name, "PORT": portal, "LUN": 0}, {})


@contextmanager
def in_the_guest(options, _job: Path, processors: int = 2, counted: bool = False):
    """The gateway, or the kernel's own target, runs in the guest, which sees this host's root; ib_srp makes a channel
    for each processor."""
    yield Hosting({"SLUICE": options.sluice, "TARGET": options.target}, {}, processors, counted)


@contextmanager
def four_processors(options, job: Path):
    with in_the_guest(options, job, 4) as hosting:
        yield hosting


@contextmanager
def counted(options, job: Path):
    with in_the_guest(options, job, 1, counted=True) as hosting:
        yield hosting


@contextmanager
def vhost_disk(options, _job: Path):
    """A RAM disk behind a vhost port, which QEMU reaches by its socket and by the guest's own memory."""
    with job_gateway(options) as gateway:
        socket = gateway.folder / "vm.sock"

        def body(luns: str, size: str) -> str:
            return (f'[store.a]\ntype = "file"\npath = "a.raw"\nsize = "{size}"\n[unit.a]\nstore = "a"\n'
                    f'[store.b]\ntype = "ram"\nsize = "16MiB"\n[unit.b]\nstore = "b"\n'
                    f'[target.main]\nluns = {{ {luns} }}\n'
                    f'[[target.main.port]]\nfabric = "vhost"\nname = "5000c50012345678"\nsocket = "{socket}"\n')

        one, both = '0 = "a"', '0 = "a", 1 = "b"'
        gateway.write(body(one, "64MiB"))
        gateway.start()

        def die_and_come_back() -> None:
            gateway.process.kill()
            gateway.process.wait()
            gateway.start()

        devices = ["-object", "memory-backend-memfd,id=ram,size=1024M,share=on", "-machine", "memory-backend=ram",
                   "-chardev", f"socket,id=sluice,path={socket},reconnect=1",
                   "-device", "vhost-user-scsi-pci,chardev=sluice,num_queues=2"]
        yield Hosting({"GROWN": 96 << 20},
                      {"grow": lambda: gateway.apply(body(one, "96MiB")),
                       "add-lun": lambda: gateway.apply(body(both, "96MiB")),
                       "remove-lun": lambda: gateway.apply(body(one, "96MiB")), "kill": die_and_come_back},
                      processors=2, qemu=qemu_that_reconnects(options.folder), devices=devices)


def of_job(name: str):
    """The context manager that serves a job: called with the runner's options and the job's folder."""
    return {"multipath": two_paths, "luns": changing_luns, "disk": reserved_disk, "boot": late_disk,
            "vhost": vhost_disk, "failover": two_gateways, "brief": in_the_guest,
            "srp": in_the_guest, "srp-channels": four_processors, "srp-link": in_the_guest,
            "iser": in_the_guest, "conformance": in_the_guest, "cost": counted}.get(name, one_path)


def need_tools() -> None:
    """What the guest uses of this host's own root."""
    for program, package in (("fio", "fio"), ("mkfs.ext4", "e2fsprogs"), ("ip", "iproute2")):
        if not shutil.which(program):
            raise LabError(f"{program} is not installed (package {package})")
