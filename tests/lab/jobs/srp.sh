# SRP: the kernel's ib_srp over software RoCE, against the gateway in the guest itself, where the device is.
. /job/lib.sh

address=10.9.9.1 port=5555
id_ext=0002c90300a1b2c4 ioc_guid=0002c90300a1b2c3
host=/sys/class/infiniband_srp/srp-rxe0-1

diagnose() {
  tail -n 30 /tmp/sluice.log
  rdma link show
}

disk_of_srp() { # the disk, by its vendor
  local each
  for each in /sys/block/sd*; do
    grep -q SLUICE "$each/device/vendor" 2> /dev/null && [ "$(cat "$each/size")" != 0 ] && echo "/dev/${each##*/}" && return 0
  done
  return 1
}

login() { # OPTIONS: of add_target, each with a comma before it
  step 60 sh -c "echo id_ext=$id_ext,ioc_guid=$ioc_guid,dest=$address:$port$1 > $host/add_target"
  wait_for 60 disk disk_of_srp
  disk=$(disk_of_srp)
  echo "channels: $(cat /sys/class/scsi_host/host*/ch_count)"
}
logout() {
  local each
  for each in /sys/class/srp_remote_ports/port-*; do step 60 sh -c "echo 1 > $each/delete"; done
  wait_for 60 "end of the disk" sh -c '! grep -q SLUICE /sys/block/sd*/device/vendor'
}
with_module() { # OPTION...
  modprobe -r ib_srp
  step 60 modprobe ib_srp "$@"
  wait_for 30 "port of ib_srp" test -e $host/add_target
}

rdma_link $address

cat > /tmp/sluice.toml << TOML
[gateway]
name = "lab"
state_dir = "/tmp/state"
control = "/tmp/control.sock"
reactors = 2
buffers = "64MiB"
[store.a]
type = "file"
path = "/tmp/a.raw"
size = "64MiB"
[target.main]
luns = { 0 = "a" }
[target.main.access."0000000000000000:000000fffe000001"]
[[target.main.port]]
fabric = "srp"
name = "$id_ext:$ioc_guid"
listen = ["$address:$port"]
TOML
serve
export -f verify_disk

with_module
login
echo "disk: $disk, $(blockdev --getsize64 "$disk") octets"
step 180 bash -c "verify_disk $disk 4m"
file_system_on "$disk"
step 60 sg_persist --out --register --param-sark=0xcafe "$disk"
step 60 sg_persist --out --reserve --param-rk=0xcafe --prout-type=5 "$disk"
step 60 sg_persist --in --read-full-status "$disk"
must "the registration names the initiator port" grep -qi "000000fffe000001\|00 00 00 ff fe 00 00 01" /tmp/step.log
step 60 sg_persist --out --release --param-rk=0xcafe --prout-type=5 "$disk"
step 60 sg_persist --out --register --param-rk=0xcafe --param-sark=0 "$disk"
step 60 sg_reset -d "$disk"
step 180 bash -c "verify_disk $disk 1m"
logout

# What the module can be told.
while read -r options; do
  with_module $options
  login ",allow_ext_sg=1,cmd_sg_entries=8,sg_tablesize=128"
  step 180 bash -c "verify_disk $disk 2m"
  logout
done << OPTIONS
use_imm_data=0
use_imm_data=1 register_always=0
never_register=1 use_imm_data=0
ch_count=2
OPTIONS

# The gateway is killed and comes back while fio verifies.
with_module
login
(verify_disk "$disk" 2m 20 > /tmp/verify.log 2>&1; echo $? > /tmp/verify.done) &
sleep 4
die_and_serve
wait_for 180 "end of the verification" test -e /tmp/verify.done
must "nothing was lost over the kill" grep -qx 0 /tmp/verify.done
logout
kill $server
wait $server
must "the gateway ends well" test $? = 0
echo "job: passed"
