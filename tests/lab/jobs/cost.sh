# What an I/O costs, in processor time of the whole guest: fio, the initiator, the network and the target, user and
# kernel. In one run: SRP by the gateway and by the kernel's own target, iSCSI over TCP by both, all from memory. Each
# figure is the least of several rounds, as whatever else the host does is counted too; an emulated machine's time says
# little of a real one's.
. /job/lib.sh
MEDIUM=ram
. /job/srp.sh
rounds=2

# In ms since the boot: busy, and the gateway's own code of it.
times() { awk '/^cpu /{busy = ($2 + $3 + $4 + $7 + $8) * 10; nextfile} {own = $14 * 10} END {print busy, own}' /proc/stat "/proc/$server/stat"; }
run() { # SIZE COUNT
  timeout 120 fio --name=cost --filename="$cost_disk" --rw=randrw --bs="$1" --number_ios="$2" --size=32m --iodepth=8 \
    --ioengine=libaio --direct=1 --norandommap --random_generator=lfsr --io_size=1g > /tmp/fio.log 2>&1 || {
    cat /tmp/fio.log
    give_up
  }
}
# measure NAME: prints it, and in µs what a 4 KiB I/O costs, the gateway's own code of it, and both of a 64 KiB I/O. What
# fio costs by itself is taken off.
measure() {
  local size begin few many
  printf '%s' "cost $1"
  for size in 4k/2000 64k/500; do
    run ${size%/*} 10
    begin=($(times))
    run ${size%/*} 10
    few=($(times))
    run ${size%/*} $((10 + ${size#*/}))
    many=($(times))
    printf ' %d %d' $(((many[0] - 2 * few[0] + begin[0]) * 1000 / ${size#*/})) \
      $(((many[1] - 2 * few[1] + begin[1]) * 1000 / ${size#*/}))
  done
  echo
}

software_roce
choose lio
serve_lio
choose sluice
serve 1
with_module
for round in $(seq $rounds); do
  for target in sluice lio; do
    choose $target
    login > /tmp/login.log || { cat /tmp/login.log; exit 1; }
    cost_disk=$disk
    measure "srp-$target" | tee -a /tmp/costs
    logout > /tmp/login.log || { cat /tmp/login.log; exit 1; }
    login_iscsi > /tmp/login.log || { cat /tmp/login.log; exit 1; }
    cost_disk=$tcp_disk
    measure "tcp-$target" | tee -a /tmp/costs
    logout_iscsi > /tmp/login.log || { cat /tmp/login.log; exit 1; }
  done
done
choose sluice
end_server
awk '{ for (i = 3; i <= 6; i++) if (!(($2, i) in least) || $i < least[$2, i]) least[$2, i] = $i }
  END {
    printf "%-7s %12s %12s %12s %12s   %s\n", "µs", "SRP", "ib_srpt", "TCP", "TCP of LIO", "SRP / ib_srpt, / TCP; own code"
    for (i = 3; i <= 5; i += 2) {
      srp = least["srp-sluice", i]; other = least["srp-lio", i]; tcp = least["tcp-sluice", i]
      printf "%-7s %11d %12d %12d %12d   %.2f, %.2f; SRP %d, TCP %d\n", i == 3 ? "4 KiB" : "64 KiB", srp, other, tcp,
        least["tcp-lio", i], srp / other, srp / tcp, least["srp-sluice", i + 1], least["tcp-sluice", i + 1]
    }
  }' /tmp/costs
echo "job: passed"
