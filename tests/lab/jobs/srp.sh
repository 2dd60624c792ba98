# SRP: the kernel's ib_srp over software RoCE, against the gateway in the guest itself, where the device is.
. /job/lib.sh
. /job/srp.sh

software_roce
start_target
export -f verify_disk

with_module
login
echo "disk: $disk, $(blockdev --getsize64 "$disk") octets"
step 180 bash -c "verify_disk $disk 4m"
file_system_on "$disk"

# Of a device, and of a target: ib_srp has none, so the kernel goes on to the host's, which connects anew.
step 60 sg_reset -d "$disk"
step 180 bash -c "verify_disk $disk 1m"
step 60 sg_reset -t "$disk"
step 180 bash -c "verify_disk $disk 1m"

# The same unit by SRP and by iSCSI: who has it is one matter for both.
login_iscsi
may_not_write() { ! dd if=/dev/zero of="$1" bs=4k count=1 oflag=direct 2> /tmp/step.log && grep -q "Invalid exchange" /tmp/step.log; }
writes() { dd if=/dev/zero of="$1" bs=4k count=1 oflag=direct 2> /tmp/step.log; }
step 60 sg_persist --out --register --param-sark=0xcafe "$disk"
step 60 sg_persist --out --reserve --param-rk=0xcafe --prout-type=5 "$disk"
step 60 sg_persist --in --read-full-status "$disk"
cat /tmp/step.log
compare "the registration names the initiator port" grep -qi "000000fffe000001\|00 00 00 ff fe 00 00 01" /tmp/step.log
must "SRP writes, reserved by SRP" writes "$disk"
must "iSCSI does not" may_not_write "$tcp_disk"
step 60 sg_persist --out --register --param-sark=0xbeef "$tcp_disk"
must "iSCSI does, once registered" writes "$tcp_disk"
step 60 sg_persist --out --preempt --param-rk=0xbeef --param-sark=0xcafe --prout-type=5 "$tcp_disk"
step 60 sg_persist --in --read-full-status "$tcp_disk"
cat /tmp/step.log
must "iSCSI writes, which has taken it" writes "$tcp_disk"
must "SRP does not any more" may_not_write "$disk"
step 60 sg_persist --out --clear --param-rk=0xbeef "$tcp_disk"
must "SRP writes when nobody has it" writes "$disk"
logout_iscsi
logout

# What the module can be told. Tables that stay in the initiator's memory are the end of 6.1's ib_srpt: a null pointer.
lists=,allow_ext_sg=1,cmd_sg_entries=8,sg_tablesize=128
is_lio && lists=
while read -r options; do
  with_module $options
  login "$lists"
  step 180 bash -c "verify_disk $disk 2m"
  logout
done << OPTIONS
use_imm_data=0 ch_count=1
use_imm_data=1 register_always=0
never_register=1 use_imm_data=0
ch_count=2
OPTIONS

# The gateway is killed and comes back while fio verifies.
if ! is_lio; then
  with_module
  login
  verify_over_a_kill "$disk"
  logout
fi
end_server
echo "job: passed"
