#!/usr/bin/env python3
"""What `cmake --install` puts where, and that it works there: the program serves, the manual is one for man, bash reads
its completion, the service names the program. usage: install.py BUILD_FOLDER"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "harness"))

from gateway import Checks, one_unit, own_gateway  # noqa: E402

PREFIX = "/opt/sluice"
FILES = ("bin/sluice", "bin/sluice-load", "share/man/man1/sluice.1", "share/man/man5/sluice.toml.5",
         "share/bash-completion/completions/sluice",
         "share/zsh/vendor-completions/_sluice", "share/fish/vendor_completions.d/sluice.fish",
         "lib/systemd/system/sluice.service", "lib/sysusers.d/sluice.conf", "share/doc/sluice/README.md",
         "share/doc/sluice/docs/operations.md", "share/doc/sluice/docs/control.schema.json",
         "share/doc/sluice/examples/production.toml")


def succeeds(*command):
    """The output of a command, or None when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def main():
    checks = Checks()
    with tempfile.TemporaryDirectory() as staging:
        subprocess.run(["cmake", "--install", sys.argv[1], "--prefix", PREFIX], env={**os.environ, "DESTDIR": staging},
                       stdout=subprocess.DEVNULL, timeout=60, check=True)
        root = pathlib.Path(staging + PREFIX)
        for name in FILES:
            checks.check(f"{name} is installed", (root / name).is_file() and (root / name).stat().st_size > 0)
        outside = [each for each in pathlib.Path(staging).rglob("*") if each.is_file() and root not in each.parents]
        checks.check("nothing lies beside the prefix", not outside)

        service = (root / "lib/systemd/system/sluice.service").read_text()
        checks.check("the service starts what is installed", f"ExecStart={PREFIX}/bin/sluice serve" in service)
        checks.check("bash reads its completion",
                     succeeds("bash", "-n", str(root / "share/bash-completion/completions/sluice")) is not None)
        if shutil.which("man"):
            for name, words in (("man1/sluice.1", "sluice session kick [ID]"), ("man5/sluice.toml.5", "flash.path")):
                shown = succeeds("man", "--warnings", "-l", str(root / "share/man" / name))
                checks.check(f"man shows {name}", shown is not None and words in shown)
        else:
            checks.skip("man shows the manual", "there is no man here")
        example = root / "share/doc/sluice/examples/minimal.toml"
        checks.check("an example is a good configuration",
                     succeeds(str(root / "bin/sluice"), "check", str(example)) is not None)
        with own_gateway(str(root / "bin/sluice"), checks) as gateway:
            gateway.write(one_unit("iqn.2026-11.io.sluice:installed", type="ram", size="8MiB"))
            gateway.start()
            names = subprocess.run([root / "bin/sluice", "complete-names", "STORE"], capture_output=True, text=True,
                                   env={**os.environ, "SLUICE_CONTROL": str(gateway.socket)}, timeout=10, check=False)
            checks.check("a completion knows what runs", names.stdout == "a\n")
            checks.check("an orderly stop", gateway.stop() == 0)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
