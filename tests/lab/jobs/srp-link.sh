# SRP while the link goes down and comes back under I/O that is verified. Shorter than the 10 s that ib_srp waits before
# it connects anew: what it sends meanwhile would be the end of rdma_rxe (docs/srp.md).
. /job/lib.sh
. /job/srp.sh

software_roce
start_target
with_module
login
(verify_disk "$disk" 2m 40 > /tmp/verify.log 2>&1; echo $? > /tmp/verify.done) &
for time in 1 2; do
  sleep 4
  step 10 ip link set dummy0 down
  sleep 5
  step 10 ip link set dummy0 up
  wait_for 60 "connection after the outage" sh -c 'grep -qx running /sys/class/srp_remote_ports/port-*/state'
done
wait_for 180 "end of the verification" test -e /tmp/verify.done
[ "$(cat /tmp/verify.done)" = 0 ] || tail -n 20 /tmp/verify.log
must "nothing was lost over the outages" grep -qx 0 /tmp/verify.done
logout
end_server
[ -e /tmp/sluice.log ] && grep srp /tmp/sluice.log
echo "job: passed"
