#!/usr/bin/env bash
# Of: GCC 12.2.0 (Debian 12, package g++-12 12.2.0-14+deb12u1).
# Done: a coroutine waits in the condition of an if; its body declares no variable.
# Expected: it is suspended there, as where the same is written with a variable ([expr.await], [stmt.select]): done() of
#   its handle says no, and it goes on when it is resumed.
# Seen: done() of its handle says yes as soon as it waits, without optimization and with it; so it cannot be resumed. With
#   a variable anywhere in the outermost block of the body all is well; within a block of its own it is not. While is as if.
# Exit status: 0 as described, 1 something is otherwise, 2 it cannot be run here (it needs apt, dpkg, as, ld and the archive).
set -euo pipefail
version=12.2.0-14+deb12u1
cannot() { echo "cannot be run here: $1" >&2; exit 2; }
for tool in apt-get dpkg as ld; do command -v "$tool" >/dev/null || cannot "there is no $tool"; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
for package in g++-12 gcc-12 cpp-12 libgcc-12-dev libstdc++-12-dev; do
  timeout 30 apt-get download "$package=$version" >apt.log 2>&1 || { cat apt.log >&2; cannot "no $package $version"; }
done
for package in libisl23 libmpc3 libmpfr6 libgmp10; do
  timeout 30 apt-get download "$package" >apt.log 2>&1 || { cat apt.log >&2; cannot "no $package"; }
done
for each in ./*.deb; do dpkg -x "$each" package; done
cat >waits.cpp <<'CPP'
#include <coroutine>
#include <cstdio>
#include <exception>
std::coroutine_handle<> asleep;
struct answer {
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> who) { asleep = who; }
  bool await_resume() { return true; }
};
struct walk {
  struct promise_type {
    walk get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
};
walk walks() { BODY }
int main() {
  walks();
  std::puts(asleep.done() ? "done" : "waits");
}
CPP
export LD_LIBRARY_PATH=$folder/package/usr/lib/x86_64-linux-gnu
status=0
expect() { # WHAT BODY DESCRIBED
  local level seen
  for level in -O0 -O2; do
    timeout 30 package/usr/bin/g++-12 -std=c++20 "$level" "-DBODY=$2" waits.cpp -o waits 2>g++.log ||
      { cat g++.log >&2; cannot "waits.cpp does not compile"; }
    seen=$(timeout 10 ./waits)
    if [ "$seen" = "$3" ]; then echo "as described: $1 ($level): $seen"; else
      echo "OTHERWISE: $1 ($level): $seen, not $3"; status=1; fi
  done
}
expect "in a statement" 'co_await answer{};' waits
expect "in an initializer" 'const bool is = co_await answer{}; if (is) std::puts("yes");' waits
expect "in a condition, with a variable" 'int any = 0; if (co_await answer{}) ++any;' waits
expect "in a condition" 'if (co_await answer{}) std::puts("yes");' 'done'
expect "in a condition, in a block" '{ if (co_await answer{}) std::puts("yes"); }' 'done'
expect "in the condition of a while" 'while (!co_await answer{}) std::puts("no");' 'done'
exit $status
