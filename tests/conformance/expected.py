"""What every test of the conformance tool must come to: expected.txt."""

from pathlib import Path

from log import Outcome

EVERY_RUN = "every run"
ONLY = "only "
OVER = "over "


class Expectations:
    """Sections `[every run]`, `[RUN RUN...]` with what differs there, `[over STORE]` with what differs over a type of
    store, and `[only RUN]` for a run of its own list."""

    def __init__(self, text: str):
        self._sections: list[tuple[str, dict[str, str]]] = []
        for line in text.splitlines():
            line = line.split("#")[0].strip()
            if line.startswith("["):
                self._sections.append((line.strip("[]"), {}))
            elif line:
                name, expected = line.split(maxsplit=1)
                self._sections[-1][1][name] = expected

    @classmethod
    def of_tool(cls, tool: str) -> "Expectations":
        """expected.txt, and of another tool than the installed one what differs there: expected-TOOL.txt."""
        files = ["expected.txt"] + ([f"expected-{tool}.txt"] if tool != "installed" else [])
        return cls("\n".join((Path(__file__).resolve().parent / file).read_text(encoding="utf-8") for file in files))

    def of_run(self, run: str, store: str = "ram") -> dict[str, str]:
        own = [listed for section, listed in self._sections if section == ONLY + run]
        lists = own or [listed for section, listed in self._sections
                        if section in (EVERY_RUN, OVER + store) or run in section.split()]
        return {name: expected for listed in lists for name, expected in listed.items()}

    def differences(self, run: str, outcomes: dict[str, Outcome], store: str = "ram") -> list[str]:
        """One line for each test that is missing, unknown, or other than expected. A test that `may race` passes, or
        fails by a race within the tool; it must not be skipped. One that `fails by the tool` must do so."""
        expected = self.of_run(run, store)
        found = [f"{name}: missing" for name in expected if name not in outcomes]
        for name, outcome in outcomes.items():
            wanted = expected.get(name)
            if wanted == "may race" and outcome.status != "skipped":
                continue
            if wanted == "fails by the tool" and outcome.status == "failed":
                continue
            if wanted == "passed" and outcome.status == "passed":
                continue
            allowed = wanted.removeprefix("skipped ") if wanted and wanted.startswith("skipped ") else None
            if allowed and outcome.status == "skipped" and outcome.reason.startswith(allowed):
                continue
            got = f"{outcome.status} {outcome.reason}".rstrip()
            found.append(f"{name}: {got} (expected: {wanted or 'no such test'})")
        return found
