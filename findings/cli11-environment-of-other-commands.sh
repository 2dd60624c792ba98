#!/usr/bin/env bash
# Of: CLI11 2.1.2 (Debian 12, package libcli11-dev 2.1.2+ds-1).
# Done: several subcommands have an option that stores into one variable and names one environment variable; one of them
#   is given, with the option's flag.
# Expected: the flag counts, as it does where there is one subcommand, and as the flag of one option beats its own
#   environment variable.
# Seen: subcommands that were not given read the environment, too, in the order in which they were added; one that was
#   added after the given one replaces what the flag said. So the flag of the last subcommand counts, and that of every
#   other does not.
# Exit status: 0 as described, 1 something is otherwise, 2 it cannot be run here (it needs apt, dpkg, g++ and the archive).
set -euo pipefail
version=2.1.2+ds-1
cannot() { echo "cannot be run here: $1" >&2; exit 2; }
for tool in apt-get dpkg g++; do command -v "$tool" >/dev/null || cannot "there is no $tool"; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
timeout 60 apt-get download "libcli11-dev=$version" >apt.log 2>&1 || { cat apt.log >&2; cannot "no libcli11-dev $version"; }
dpkg -x libcli11-dev_*.deb package
cat >two.cpp <<'CPP'
#include <CLI/CLI.hpp>
#include <iostream>
int main(int argc, char** argv) {
  std::string socket = "default";
  CLI::App app;
  for (const char* name : {"first", "second"})
    app.add_subcommand(name)->add_option("--socket", socket)->envname("FINDING_SOCKET");
  CLI11_PARSE(app, argc, argv);
  std::cout << socket << "\n";
}
CPP
sed 's/{"first", "second"}/{"first"}/' two.cpp >one.cpp
for program in one two; do # -I comes before the machine's own headers
  timeout 50 g++ -std=c++17 -O0 -Ipackage/usr/include "$program.cpp" -o "$program" 2>g++.log ||
    { cat g++.log >&2; cannot "$program.cpp does not compile"; }
done
status=0
expect() { # WHAT SEEN DESCRIBED
  if [ "$2" = "$3" ]; then echo "as described: $1: $2"; else echo "OTHERWISE: $1: $2, not $3"; status=1; fi
}
export FINDING_SOCKET=environment
expect "one subcommand, flag and environment" "$(timeout 10 ./one first --socket flag)" flag
expect "two subcommands, flag of the first and environment" "$(timeout 10 ./two first --socket flag)" environment
expect "two subcommands, flag of the second and environment" "$(timeout 10 ./two second --socket flag)" flag
unset FINDING_SOCKET
expect "two subcommands, flag alone" "$(timeout 10 ./two first --socket flag)" flag
exit $status
