# For jobs: timed and bounded steps, a request to the host, one check of a disk.
uptime_s() { cut -d. -f1 /proc/uptime; }

# give_up: shows what a job may want to show (diagnose, if it has one) and ends it.
give_up() {
  dmesg | tail -n 15
  declare -F diagnose > /dev/null && diagnose
  exit 1
}

# must WHAT COMMAND...: a check that waits for nothing.
must() {
  local what=$1
  shift
  if "$@"; then echo "step: $what"; else echo "step FAILED: $what"; give_up; fi
}

# step SECONDS WORDS...: runs a command, bounded; ends the job when it fails.
step() {
  local limit=$1 begin
  shift
  begin=$(uptime_s)
  if timeout "$limit" "$@" > /tmp/step.log 2>&1; then
    echo "step: $* ($(($(uptime_s) - begin)) s)"
  else
    echo "step FAILED, status $?: $*"
    tail -n 30 /tmp/step.log
    give_up
  fi
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local limit=$1 what=$2 deadline
  shift 2
  deadline=$(($(uptime_s) + limit))
  until "$@" > /dev/null 2>&1; do
    if [ "$(uptime_s)" -ge "$deadline" ]; then
      echo "step FAILED: no $what within $limit s"
      give_up
    fi
    sleep 0.2
  done
  echo "step: $what is there ($(($(uptime_s) + limit - deadline)) s)"
}

# ask_host WORD: has the host do something (see lab's requests) and waits until it is done.
ask_host() {
  rm -f "/job/done.$1"
  echo "$1" > "/job/request.$1"
  wait_for 120 "answer of the host to '$1'" test -e "/job/done.$1"
}

verify_disk() { # DEVICE SIZE RUNTIME: random reads and writes that fio checks
  fio --name=verify --filename="$1" --rw=randrw --bsrange=4k-64k --size="$2" --iodepth=4 --ioengine=libaio --direct=1 \
    --verify=crc32c --verify_fatal=1 ${3:+--time_based --runtime="$3"}
}

# software_roce: RDMA at $address, which is the guest's own: rxe hands packets over by itself, in frames as large as
# RoCE has them.
software_roce() {
  modprobe dummy numdummies=0
  modprobe -a rdma_rxe rdma_ucm ib_uverbs sd_mod sg crc32c_generic ext4
  ip link set lo up
  ip link add dummy0 mtu 9000 address 02:00:00:00:00:01 type dummy
  ip addr add $address/24 dev dummy0
  ip link set dummy0 up
  step 30 rdma link add rxe0 type rxe netdev dummy0
  ulimit -l unlimited
}

# The target is the kernel's own, rather than the gateway.
is_lio() { [ "$TARGET" = lio ]; }

# run_gateway: in the guest itself, by /tmp/sluice.toml; its process is $server.
run_gateway() {
  : > /tmp/sluice.log
  "$SLUICE" serve --config /tmp/sluice.toml >> /tmp/sluice.log 2>&1 &
  server=$!
  wait_for 60 gateway grep -q "sluice: ready" /tmp/sluice.log
}
end_server() {
  is_lio && return
  kill $server
  wait $server
  must "the gateway ends well" test $? = 0
}
# verify_over_a_kill DISK: the gateway is killed and comes back, by serve, while fio verifies.
verify_over_a_kill() {
  (verify_disk "$1" 2m 20 > /tmp/verify.log 2>&1; echo $? > /tmp/verify.done) &
  sleep 4
  kill -9 $server
  sleep 1
  serve
  wait_for 180 "end of the verification" test -e /tmp/verify.done
  must "nothing was lost over the kill" grep -qx 0 /tmp/verify.done
}

# file_system_on DISK: one is made, written to, and checked.
file_system_on() {
  step 180 mkfs.ext4 -q "$1"
  mkdir -p /mnt
  step 60 mount -t ext4 "$1" /mnt
  step 180 cp -r /etc/apt /mnt/apt
  step 60 umount /mnt
  step 120 e2fsck -fn "$1"
}

# open_iscsi [LINE...]: open-iscsi with these lines more in its configuration.
open_iscsi() {
  modprobe -a iscsi_tcp sd_mod sg crc32c_generic
  mkdir -p /etc/iscsi /run/lock/iscsi /var/lib/iscsi
  echo "InitiatorName=$GUEST" > /etc/iscsi/initiatorname.iscsi
  printf '%s\n' "node.startup = manual" "node.conn[0].timeo.login_timeout = 30" \
    "node.session.initial_login_retry_max = 8" "$@" > /etc/iscsi/iscsid.conf
  iscsid -f > /tmp/iscsid.log 2>&1 &
}

# iscsi_initiator [LINE...]: the network to the host, and open-iscsi.
iscsi_initiator() {
  modprobe virtio_net
  ip link set lo up
  ip link set eth0 up
  ip addr add 10.0.2.15/24 dev eth0
  open_iscsi "$@"
}
