#!/usr/bin/python3
"""Three gateways, real processes over a real Ceph cluster, whose configuration is one versioned object: what is applied
through one of them is in force on all or on none, old versions come back, and who was away has the newest at its start.

usage: cluster_config.py [PROGRAM]
"""

import argparse
import json
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "harness"))

from ceph import Cluster  # noqa: E402
from gateway import Checks  # noqa: E402
from initiator import ConnectionLost, test_unit_ready  # noqa: E402
from nodes import NAMES, Host, Node, gateways  # noqa: E402
from targets import TargetError, spawn  # noqa: E402

try:
    from jsonschema import Draft202012Validator
except ImportError:
    sys.exit("no module jsonschema for /usr/bin/python3; ./dev setup test installs python3-jsonschema")

SCHEMA = json.loads((TOP / "docs/control.schema.json").read_text())
IMAGES = ["one", "two", "three"]
REPORT_LUNS = bytes([0xA0]) + bytes(5) + struct.pack(">I", 4096) + bytes(2)
OWN_STORE = '\n[store.{0}]\ntype = "ram"\nsize = "1MiB"\n'


class Run:
    def __init__(self, checks: Checks, cluster: Cluster, nodes: list[Node]):
        self.checks, self.cluster, self.nodes = checks, cluster, nodes
        self.alpha, self.beta, self.gamma = nodes
        self.file = self.alpha.folder.parent / "shared.toml"

    def text(self, images: list[str], more: str = "") -> str:
        stores = "".join(f'[store.{name}]\ntype = "rbd"\npool = "rbd"\nimage = "{name}"\nuser = "sluice"\n'
                         f'conf = "{self.cluster.conf}"\n\n[unit.{name}]\nstore = "{name}"\n\n' for name in images)
        luns = ", ".join(f'{number} = "{name}"' for number, name in enumerate(images))
        return f"{stores}[target.main]\nluns = {{ {luns} }}\n{more}"

    def apply(self, by: Node, text: str, *words: str, command: str = "apply") -> subprocess.CompletedProcess:
        self.file.write_text(text)
        return by.ask(command, "--cluster", self.file, *words)

    def luns(self, node: Node) -> int:
        """How many a host finds there that has just logged in."""
        host = Host([node], "looker")
        try:
            answer = host.through(node, REPORT_LUNS, length=4096)
            answer.must_be_good("REPORT LUNS")
            return struct.unpack_from(">I", answer.data)[0] // 8
        finally:
            host.close()

    def versions(self, by: Node) -> dict[str, int]:
        told = json.loads(by.ask("status", "--json").stdout)["cluster"]["configuration"]
        return {each["gateway"]: each["version"] for each in told["gateways"]}

    def knows_all(self, by: Node) -> bool:
        members = json.loads(by.ask("status", "--json").stdout)["cluster"]["members"]
        return {each["gateway"] for each in members if each["state"] == "member"} == set(NAMES)

    def everywhere(self, what: str, luns: int, version: int) -> None:
        living = [node for node in self.nodes if node.process]
        found = {node.name: self.luns(node) for node in living}
        self.checks.check(f"{what}: {luns} LUNs on each gateway: {found}", set(found.values()) == {luns})
        told = {}
        until = time.monotonic() + 5
        while time.monotonic() < until:  # gateways look four times a second
            told = [self.versions(node) for node in living]
            if all(each.get(node.name) == version for each in told for node in living):
                break
            time.sleep(0.1)
        else:
            self.checks.check(f"{what}: version {version} on each gateway: {told}", False)

    def fits(self, name: str, document) -> None:
        wrong = [error.message[:200] for error in Draft202012Validator(
            {**SCHEMA, "oneOf": [{"$ref": f"#/$defs/{name}"}]}).iter_errors(document)]
        self.checks.check(f"{name} is as the schema says {wrong[:2]}", not wrong)

    def events(self) -> None:
        """Of all gateways in one list, of those as well that were killed and started anew."""
        time.sleep(1)  # events come within half a second
        told = json.loads(self.alpha.ask("events", "--cluster", "--json").stdout)["events"]
        self.checks.check(f"{len(told)} events of {sorted({each['gateway'] for each in told})}, by time",
                          {each["gateway"] for each in told} == set(NAMES)
                          and [each["time"] for each in told] == sorted(each["time"] for each in told))
        of_beta = [each for each in told if each["gateway"] == "beta"]
        self.checks.check("with no gap in the numbers of one that was killed",
                          [each["number"] for each in of_beta] == list(range(1, len(of_beta) + 1))
                          and sum("joined" in each["what"] for each in of_beta) >= 4)
        shown = self.gamma.ask("events", "--cluster").stdout
        self.checks.check("and for people", all(f"  {name}  info config: a version" in shown for name in NAMES))

    def schema(self) -> None:
        self.fits("cluster.events.result", json.loads(self.alpha.ask("events", "--cluster", "--json").stdout))
        self.fits("status.result", json.loads(self.alpha.ask("status", "--json").stdout))
        for what in ("history", "show"):
            self.fits(f"config.{what}.result", json.loads(self.beta.ask("config", what, "--json").stdout))
        for images in (IMAGES, ["absent"]):
            self.fits("config.plan.result", json.loads(self.apply(self.gamma, self.text(images), "--json",
                                                                  command="plan").stdout))
        self.fits("config.apply.result", json.loads(self.apply(self.gamma, self.text(IMAGES), "--json").stdout))
        self.fits("config.apply.result", json.loads(self.apply(self.gamma, self.text(IMAGES), "--json").stdout))

    # -- the parts ---------------------------------------------------------------------------------------------------
    def first(self) -> None:
        none = self.beta.ask("config", "history")
        self.checks.check("there is no version at first", none.returncode == 0 and "no version yet" in none.stdout)
        text = self.text(IMAGES[:1])
        until = time.monotonic() + 10
        while not self.knows_all(self.beta) and time.monotonic() < until:  # they look around twice a second
            time.sleep(0.1)
        planned = self.apply(self.beta, text, command="plan")
        named = all(name in planned.stdout for name in NAMES)
        self.checks.check(f"a plan tells of each gateway, and changes nothing: {planned.stderr.strip()}"
                          + ("" if named else f"\n{planned.stdout}"),
                          planned.returncode == 0 and named and planned.stdout.count("  + unit one: store one") == 3)
        began = time.monotonic()
        done = self.apply(self.beta, text)
        print(f"the first version took {time.monotonic() - began:.1f} s")
        self.checks.check(f"one gateway applies it: {done.stderr.strip()}",
                          done.returncode == 0 and "version 1 is in force" in done.stdout)
        self.everywhere("the first version", 1, 1)
        again = self.apply(self.gamma, text)
        self.checks.check("the same again is no version", again.returncode == 0 and "already" in again.stdout)

    def refused(self) -> None:
        text = self.text(IMAGES[:1] + ["absent"])
        done = self.apply(self.alpha, text)
        self.checks.check(f"an image that is not there is refused: {done.stderr.strip()[:100]}", done.returncode == 1)
        broken = self.apply(self.alpha, self.text(IMAGES[:1]) + "sise = 3\n")
        self.checks.check(f"a text that is wrong is refused by its line: {broken.stderr.strip()[:100]}",
                          broken.returncode == 2 and f"{self.file}:" in broken.stderr and "sise" in broken.stderr)
        own = self.apply(self.alpha, self.text(IMAGES[:1]) + '[gateway]\nname = "x"\n')
        self.checks.check("what is a gateway's own is not shared", own.returncode == 2 and "own" in own.stderr)
        self.everywhere("what was refused", 1, 1)

    def clash(self) -> None:
        """One gateway has a store of the name of one that is to be shared; then it cannot start with it either."""
        before = self.gamma.config.read_text()
        self.gamma.config.write_text(before + OWN_STORE.format("two"))
        done = self.apply(self.alpha, self.text(IMAGES[:2]))
        told = done.stderr.strip()
        self.checks.check(f"a gateway whose own file clashes refuses, by name: {told[:160]}",
                          done.returncode == 1 and "gamma: " in told and "store.two" in told and "line" in told)
        self.everywhere("a clash", 1, 1)
        self.gamma.config.write_text(before)
        host = Host(self.nodes, "stays")
        for node in self.nodes:
            host.through(node, test_unit_ready())
        done = self.apply(self.alpha, self.text(IMAGES[:2]))
        self.checks.check(f"without it all take the file: {done.stderr.strip()}", done.returncode == 0)
        told = [str(host.session(node).execute(test_unit_ready())) for node in self.nodes]
        self.checks.check(f"sessions go on, and hear that there are other LUNs: {told}", told == ["06/3f/0e"] * 3)
        host.close()
        self.everywhere("two units", 2, 2)
        self.gamma.end()
        self.gamma.config.write_text(before + OWN_STORE.format("two"))
        start = subprocess.run([self.gamma.program, "serve", "--config", self.gamma.config], capture_output=True,
                               text=True, timeout=40, check=False)
        said = start.stderr.strip().splitlines()[-1]
        self.checks.check(f"a start with a clash is refused in a sentence: {said[:160]}",
                          start.returncode == 2 and "store.two" in start.stderr)
        self.gamma.config.write_text(before)
        self.gamma.start()
        self.everywhere("a start", 2, 2)

    def away(self) -> None:
        self.gamma.end(signal.SIGKILL)
        until = time.monotonic() + 20
        while '"gone"' not in self.alpha.ask("status", "--json").stdout and time.monotonic() < until:
            time.sleep(0.2)
        done = self.apply(self.alpha, self.text(IMAGES))
        self.checks.check(f"a gateway that is gone is not waited for: {done.stderr.strip()}", done.returncode == 0)
        self.everywhere("three units on two gateways", 3, 3)
        self.gamma.start()
        self.everywhere("who was away", 3, 3)
        # One that stands still while a version is made joins again, and takes it over.
        self.beta.suspend()
        until = time.monotonic() + 20
        while '"gone"' not in self.alpha.ask("status", "--json").stdout and time.monotonic() < until:
            time.sleep(0.2)
        done = self.apply(self.alpha, self.text(IMAGES[:2]))
        self.checks.check(f"nor is one that stands still: {done.stderr.strip()}", done.returncode == 0)
        before = self.beta.config.read_text()
        self.beta.config.write_text(before + OWN_STORE.format("two"))
        self.beta.send(signal.SIGCONT)
        until = time.monotonic() + 20
        while "store.two" not in (told := self.alpha.ask("cluster", "status").stdout) and time.monotonic() < until:
            time.sleep(0.2)
        self.checks.check("who cannot take it over says so, and goes on as it was",
                          "beta: version 4" in told and "store.two" in told and self.luns(self.beta) == 3)
        self.beta.config.write_text(before)
        until = time.monotonic() + 20
        while self.versions(self.beta).get("beta") != 4 and time.monotonic() < until:
            time.sleep(0.2)
        self.everywhere("who stood still", 2, 4)

    def dies_between(self) -> None:
        """The gateway that applies is killed at some moment: afterwards all others have the one or the other."""
        for pause in (0.05, 0.3, 0.6):
            wanted = self.text(IMAGES, f"# killed after {pause} s\n")
            self.file.write_text(wanted)
            asked = spawn([self.beta.program, "apply", "--cluster", self.file, "--control", self.beta.control],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pause)
            self.beta.end(signal.SIGKILL)
            asked.wait(30)
            self.beta.start()
            until = time.monotonic() + 15
            while len(set(self.versions(self.alpha).values())) != 1 and time.monotonic() < until:
                time.sleep(0.2)
            version = json.loads(self.alpha.ask("config", "show", "--json").stdout)
            luns = 3 if version["text"] == wanted else 2
            print(f"killed after {pause} s: version {version['version']}, {luns} LUNs")
            self.everywhere(f"killed after {pause} s", luns, version["version"])
            back = self.apply(self.alpha, self.text(IMAGES[:2], f"# after {pause} s\n"))
            self.checks.check(f"and it goes on: {back.stderr.strip()}", back.returncode == 0)

    def at_once(self) -> None:
        """Two gateways are told different things at one moment."""
        files = []
        for number, node in enumerate((self.alpha, self.beta)):
            file = node.folder / "shared.toml"
            file.write_text(self.text(IMAGES[:2], f"# {number}\n"))
            files.append(file)
        before = self.newest()
        asked = [spawn([node.program, "apply", "--cluster", file, "--control", node.control], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE) for node, file in zip((self.alpha, self.beta), files)]
        told = [each.communicate(timeout=60)[1].decode().strip() for each in asked]
        codes = [each.returncode for each in asked]
        self.checks.check(f"of two at once at least one is told why not: {codes} {told}",
                          all(code == 0 or "\n" not in say for code, say in zip(codes, told)) and any(told))
        made = self.newest() - before
        self.checks.check(f"as many versions as were told to be in force: {made}", made == codes.count(0) and made <= 1)
        newest = self.newest()
        stale = self.apply(self.gamma, self.text(IMAGES[:1]), "--base", str(newest - 1))
        self.checks.check(f"who began from an older version is told so: {stale.stderr.strip()[:120]}",
                          stale.returncode == 1 and "moved on" in stale.stderr)

    def newest(self) -> int:
        return json.loads(self.alpha.ask("config", "show", "--json").stdout)["version"]

    def history(self) -> None:
        newest = self.newest()
        listed = json.loads(self.gamma.ask("config", "history", "--json").stdout)["versions"]
        self.checks.check(f"{len(listed)} versions in order, by their gateways",
                          [each["version"] for each in listed] == list(range(1, newest + 1))
                          and listed[0]["gateway"] == "beta" and listed[1]["gateway"] == "alpha")
        diff = self.gamma.ask("config", "diff", "1", "2")
        self.checks.check("diff tells what was added", diff.returncode == 0 and "+[store.two]" in diff.stdout
                          and '-luns = { 0 = "one" }' in diff.stdout)
        back = self.gamma.ask("config", "rollback", "1")
        self.checks.check(f"rollback is a version of its own: {back.stderr.strip()}",
                          back.returncode == 0 and f"version {newest + 1} is in force" in back.stdout)
        self.everywhere("rolled back", 1, newest + 1)
        listed = json.loads(self.alpha.ask("config", "history", "--json").stdout)["versions"]
        self.checks.check(f"which says so: {listed[-1]['origin']}", listed[-1]["origin"] == "rollback to version 1"
                          and listed[-1]["digest"] == listed[0]["digest"])
        never = self.alpha.ask("config", "rollback", "99")
        self.checks.check(f"to none that there never was: {never.stderr.strip()}", never.returncode == 1)
        shown = self.beta.ask("cluster", "status")
        self.checks.check("cluster status has a column for it",
                          "CONFIGURATION" in shown.stdout and f"version {newest + 1}" in shown.stdout)

    def own_file(self) -> None:
        """A gateway's own part is its own to apply, and keeps what is shared."""
        before = self.alpha.config.read_text()
        self.alpha.config.write_text(before + OWN_STORE.format("scratch") + "[unit.scratch]\nstore = \"scratch\"\n")
        done = self.alpha.ask("apply", self.alpha.config)
        self.checks.check(f"a gateway's own file: {done.stdout.strip()} {done.stderr.strip()}",
                          done.returncode == 0 and "- unit" not in done.stdout and "+ unit scratch" in done.stdout)
        checked = subprocess.run([self.alpha.program, "check", self.alpha.config, "--shared", self.file],
                                 capture_output=True, text=True, timeout=20, check=False)
        self.checks.check(f"check reads both: {checked.stdout.strip()}", checked.returncode == 0)
        self.alpha.config.write_text(before)
        self.checks.check("and back", self.alpha.ask("apply", self.alpha.config).returncode == 0)
        self.everywhere("own files", 1, self.newest())


def own_part(text: str) -> str:
    """A gateway's file without what is to be shared."""
    head, _, rest = text.partition("[store.disk]")
    return head + rest[rest.index("[[target.main.port]]"):]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sluice", type=Path, nargs="?", default=TOP / "build" / "release" / "sluice", metavar="PROGRAM")
    options = parser.parse_args()
    checks = Checks()
    with (Cluster(images=dict.fromkeys(IMAGES, "16M")) as cluster,
          gateways(options.sluice, cluster, len(NAMES), change=own_part) as nodes):
        run = Run(checks, cluster, nodes)
        try:
            for part in (run.first, run.refused, run.clash, run.away, run.dies_between, run.at_once, run.history,
                         run.own_file, run.events, run.schema):
                began = time.monotonic()
                part()
                print(f"-- {part.__name__}: {time.monotonic() - began:.1f} s")
        except (TimeoutError, ConnectionLost, OSError, AssertionError, TargetError, KeyError, ValueError) as wrong:
            checks.check(f"{type(wrong).__name__}: {wrong}", False)
            for node in nodes:
                print(f"-- {node.name}\n{node.last_lines(15)}")
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
