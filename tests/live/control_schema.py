#!/usr/bin/python3
"""Every request and every answer of the control socket against docs/control.schema.json: each command, done and
refused, and nothing in the schema that no answer has. usage: control_schema.py PROGRAM"""
import json
import pathlib
import re
import socket
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "harness"))

from gateway import Checks, own_gateway, play  # noqa: E402
from initiator import Initiator, persistent_reserve_out, registration  # noqa: E402

try:
    from jsonschema import Draft202012Validator
except ImportError:
    sys.exit("no module jsonschema for /usr/bin/python3; ./dev setup test installs python3-jsonschema")

SCHEMA = json.loads((HERE.parent.parent / "docs/control.schema.json").read_text())
NAME = "iqn.2026-11.io.sluice:schema"
HOST = "iqn.2026-11.io.sluice:host"
PATIENCE_S = 10
# What is there only while a loop stands still, a change takes its time, or a medium owes a unit that was taken away.
RARE = {"silent_s", "change", "since", "step", "ending", "to", "owner", "came_by", "cluster", "holds", "members",
        "self", "state", "configuration", "version", "newest", "base", "unchanged", "problem", "plan", "gateways",
        "versions", "made_s", "origin", "digest", "text"}
IN_A_CLUSTER = {"unit.move", "cluster.drain", "cluster.undrain", "cluster.forget", "cluster.events",  # tests/ceph does
                "config.plan", "config.apply", "config.rollback", "config.history", "config.show"}


def members(schema) -> set[str]:
    """The names of all members that a schema speaks of."""
    if isinstance(schema, list):
        return set().union(*map(members, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", {})) | set().union(*map(members, schema.values()), set())


def names_in(document) -> set[str]:
    if isinstance(document, list):
        return set().union(*map(names_in, document), set())
    if not isinstance(document, dict):
        return set()
    return set(document) | set().union(*map(names_in, document.values()), set())


class Door:
    """The control socket, and what came through it."""

    def __init__(self, gateway, checks):
        self.gateway, self.checks = gateway, checks
        self.done, self.refused, self.seen = set(), set(), set()
        self.socket = None

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(self.gateway.socket))
        self.lines = self.socket.makefile("r", encoding="utf-8")

    def fits(self, what: str, name: str, document) -> bool:
        """Against $defs/name; says what does not fit."""
        validator = Draft202012Validator({**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{name}"}]})
        wrong = [f"{error.json_path}: {error.message[:300]}" for top in validator.iter_errors(document)
                 for error in (top.context or [top])]
        if wrong:
            self.checks.check(f"{what} is what {name} in the schema says: {'; '.join(wrong[:4])}", False)
        return not wrong

    def exchange(self, request) -> dict:
        self.socket.sendall((json.dumps(request) + "\n").encode())
        return json.loads(self.lines.readline())

    def ask(self, command: str, **arguments):
        """The result; what is refused is a failure."""
        request = {"command": command, **({"arguments": arguments} if arguments else {})}
        self.fits(f"the request {request}", "request", request)
        answer = self.exchange(request)
        if self.fits(command, "answer", answer) and answer["ok"]:
            self.fits(f"the result of {command}", f"{command}.result", answer["result"])
            self.done.add(command)
            self.seen |= names_in(answer) | set(arguments)
            return answer["result"]
        self.checks.check(f"{command} {arguments} is done: {answer}", False)
        return None

    def fail(self, code: str, command: str, **arguments) -> str:
        """The sentence of a refusal."""
        answer = self.exchange({"command": command, "arguments": arguments})
        self.fits(f"the refusal of {command}", "refusal", answer)
        self.seen |= names_in(answer)
        self.refused.add(command)
        what = f"{command} {arguments} is refused as {code}: {answer.get('error')}"
        self.checks.check(what, answer.get("code") == code)
        return answer.get("error", "")


def body(folder, *, images="16MiB", hot="write-back", more_luns="", product="Disk", others="", port="", log="info"):
    return (f'log_level = "{log}"\n[store.images]\ntype = "file"\npath = "{folder}/images.raw"\nsize = "{images}"\n'
            f'[store.hot]\ntype = "cache"\nover = "images"\nram = "4MiB"\nmode = "{hot}"\nvolatile_dirty = "16MiB"\n'
            f'[store.short]\ntype = "file"\npath = "{folder}/short.raw"\nsize = "8MiB"\n'
            f'[store.scratch]\ntype = "ram"\nsize = "16MiB"\n'
            f'[unit.vm1]\nstore = "hot"\nproduct = "{product}"\n'
            f'[target.t]\nluns = {{ 0 = "vm1", 1 = "scratch", 2 = "short"{more_luns} }}\n'
            f'[[target.t.port]]\nfabric = "iscsi"\nname = "{NAME}"\nlisten = ["127.0.0.1:0"]\n{port}'
            f'[target.t.access."{HOST}"]\n'
            f'[target.t.access."{HOST}2"]\nluns = {{ 0 = "scratch" }}\n'
            f'chap = {{ user = "host2", secret_file = "{folder}/host2.secret" }}\n' + others)


def port_of(door):
    return int(door.gateway.portal.rsplit(":", 1)[1])


def log_in(door):
    host = Initiator(port_of(door), NAME, HOST)
    while host.execute(bytes(6)).status:  # until its unit attentions are told
        pass
    return host


def wait_for(holds):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def looks(door):
    with log_in(door) as host:
        host.execute(persistent_reserve_out(0), registration(0, 7, False)).must_be_good("REGISTER")
        host.execute(persistent_reserve_out(1, 5), registration(7, 0, False)).must_be_good("RESERVE")
        door.ask("status")
        shown = door.ask("status", latencies=True)
        door.checks.check("a histogram comes when it is asked for",
                          any("latencies" in c for u in shown["units"] for c in u["commands"]))
        door.checks.check("pr.show has the registration", len(door.ask("pr.show", unit="vm1")["registrants"]) == 1)
        door.ask("pr.clear", unit="vm1")
        host.socket.sendall(bytes([0x1D, 0x80]) + bytes(46))  # no opcode of an initiator
        door.checks.check("a Reject is counted", wait_for(lambda: door.ask("status")["connections"].get("rejects")))
        session = shown["targets"][0]["sessions"][0]["id"]
        door.ask("session.kick", id=session)
    door.ask("events", since=0)


def strangers(door):
    for by in ("id", "address"):
        with socket.create_connection(("127.0.0.1", port_of(door))):
            waits = wait_for(lambda: door.ask("status")["connections"]["oldest"])
            door.ask("connection.kick", **({"id": waits[0]["id"]} if by == "id" else {"address": "127.0.0.1"}))


def caches(door):
    mark = door.ask("cache.flush", store="hot")["mark"]
    door.ask("cache.flush", store="hot", mark=mark)
    for action in ("start", "fetch", "stop"):
        door.ask("cache.record", store="hot", action=action)
    door.ask("cache.drop", store="hot")
    with (door.gateway.folder / "short.raw").open("r+b") as medium:
        medium.truncate(4 << 20)
    wait_for(lambda: [s["health"] for s in door.ask("status")["stores"] if s["name"] == "short"] != ["good"])
    door.ask("cache.resolve", store="short")


def changes(door):
    folder, gateway = door.gateway.folder, door.gateway

    def plan(command="plan", **how):
        gateway.write(body(folder, **how))
        return door.ask(command, file=str(gateway.config))

    more = ('[store.new]\ntype = "ram"\nsize = "1MiB"\n[target.u]\nluns = { 0 = "new" }\nopen = true\n'
            f'[[target.u.port]]\nfabric = "iscsi"\nname = "{NAME}2"\nlisten = ["127.0.0.1:0"]\n')
    door.ask("unit.resize", unit="scratch", size_bytes=32 << 20, shrink=False)
    with log_in(door):
        applied = plan("apply", hot="write-around", images="32MiB", product="Disk2", others=more,
                       more_luns=', 3 = "new"', log="debug").get("steps", [])
        door.checks.check("an apply tells its steps", {s["action"] for s in applied} >= {
            "change_log", "add_store", "change_store", "resize_store", "change_unit", "add_unit", "add_target",
            "map_lun", "add_port"})
        door.checks.check("a store that is larger than its file says draws a warning",
                          any("warning" in s for s in door.ask("status")["stores"]))
        gone = plan(others="")
        door.checks.check("a plan tells what goes", {s["action"] for s in gone["steps"]} >= {
            "remove_store", "remove_unit", "remove_target", "unmap_lun", "remove_port"} or gone["refused"])
        gateway.write(body(folder, others=more).replace(f'name = "{NAME}"', f'name = "{NAME}3"'))
        door.checks.check("a plan tells of sessions that end",
                          any("drops_sessions" in s for s in door.ask("plan", file=str(gateway.config))["steps"]))
        gateway.write(body(folder).replace("[store.images]", "max_tasks = 64\n[store.images]"))
        door.checks.check("a plan tells what is refused", door.ask("plan", file=str(gateway.config))["refused"])


def refusals(door):
    told = door.fail("invalid_argument", "nonsense")
    commands = set(re.split(", | or ", told.split("; ", 1)[1]))
    named = {name.removesuffix(".result") for name in SCHEMA["$defs"] if name.endswith(".result")}
    door.checks.check(f"the schema has the commands of the gateway: {commands ^ named or 'all'}", commands == named)
    for command in ("session.kick", "connection.kick"):
        door.fail("not_found", command, id=4711)
    for command in ("pr.show", "pr.clear"):
        door.fail("not_found", command, unit="nobody")
    for command in ("cache.drop", "cache.flush", "cache.resolve", "cache.record"):
        door.fail("not_found", command, store="nobody")
    door.fail("not_found", "unit.resize", unit="nobody", size_bytes=1 << 20)
    door.fail("not_found", "unit.move", unit="nobody", to="nobody")
    for command in ("cluster.drain", "cluster.undrain", "cluster.forget"):
        door.fail("unsupported", command, gateway="nobody")
    for command in ("config.plan", "config.apply"):
        door.fail("unsupported", command, file="/nowhere")
    door.fail("unsupported", "config.rollback", version=1)
    for command in ("config.history", "config.show", "cluster.events"):
        door.fail("unsupported", command)
    for command in ("plan", "apply"):
        door.fail("invalid_argument", command, file=str(door.gateway.folder / "absent.toml"))
    door.fail("invalid_argument", "events", since="yesterday")
    door.fail("invalid_argument", "status", latencies="all")
    door.checks.check(f"each command was done: {commands - door.done or 'all'}", commands <= door.done | IN_A_CLUSTER)
    door.checks.check(f"each command was refused: {commands - door.refused or 'all'}",
                      commands <= door.refused | {"nonsense"})
    unseen = members(SCHEMA["$defs"]) - door.seen - RARE - {"command", "arguments"}
    door.checks.check(f"answers have all that the schema names: {unseen or 'yes'}", not unseen)


def main(program: str) -> int:
    checks = Checks()
    with own_gateway(program, checks) as gateway:
        secret = gateway.folder / "host2.secret"
        secret.write_text("a-secret-of-22-octets\n")
        secret.chmod(0o600)
        gateway.write(body(gateway.folder))
        gateway.start()
        door = Door(gateway, checks)
        door.open()
        play((looks, strangers, caches, changes, refusals), door, checks)
        checks.check("no answer departs from the schema", checks.failed == 0)
        checks.check("the gateway ends well", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
