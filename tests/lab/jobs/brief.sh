# Every fabric, briefly, in one boot: one unit by SRP, iSER and iSCSI over TCP, each by the kernel's own initiator. What one
# of them writes the others read, and a reservation by one keeps the others out. CI runs this job.
. /job/lib.sh

address=10.9.9.1
software_roce
open_iscsi
modprobe ib_iser
export -f verify_disk
MORE_PORTS="[target.main.access.\"0000000000000000:000000fffe000001\"]
[[target.main.port]]
fabric = \"srp\"
name = \"0002c90300a1b2c4:0002c90300a1b2c3\"
listen = [\"$address:5555\"]"
(. /job/iser.sh && serve && echo $server > /tmp/server) || exit 1
server=$(cat /tmp/server)

pattern() { yes "$1" | head -c 65536 > /tmp/pattern; }
# write_and_read WRITER READER...: each reader finds what the writer wrote.
write_and_read() {
  local writer=$1 reader
  shift
  pattern "by $writer"
  step 60 dd if=/tmp/pattern of="$writer" bs=64k oflag=direct
  for reader in "$@"; do
    must "$reader reads what $writer wrote" \
      sh -c "dd if=$reader bs=64k count=1 iflag=direct 2> /tmp/step.log | cmp - /tmp/pattern"
  done
}

(. /job/srp.sh && with_module && login && echo "$disk" > /tmp/srp) || exit 1
(. /job/iser.sh && login && echo "$disk" > /tmp/iser) || exit 1
(
  . /job/iser.sh
  step 60 iscsiadm -m node -I default -T "$iqn" -p "$address:$tcp_port,2" -o new
  step 120 iscsiadm -m node -I default -T "$iqn" -p "$address:$tcp_port" --login
  wait_for 60 "disk over TCP" disk_of tcp
  disk_of tcp > /tmp/tcp
) || exit 1
srp=$(cat /tmp/srp) iser=$(cat /tmp/iser) tcp=$(cat /tmp/tcp)
for disk in "$srp" "$iser" "$tcp"; do step 120 bash -c "verify_disk $disk 512k"; done
write_and_read "$srp" "$iser" "$tcp"
write_and_read "$iser" "$srp" "$tcp"
write_and_read "$tcp" "$srp" "$iser"

step 60 sg_persist --out --register --param-sark=0xcafe "$srp"
step 60 sg_persist --out --reserve --param-rk=0xcafe --prout-type=1 "$srp"
for disk in "$iser" "$tcp"; do
  must "$disk may not write what $srp has reserved" \
    sh -c "! dd if=/tmp/pattern of=$disk bs=64k oflag=direct > /tmp/step.log 2>&1"
done
step 60 sg_persist --out --clear --param-rk=0xcafe "$srp"
write_and_read "$tcp" "$srp" "$iser"

step 60 iscsiadm -m node --logout
(. /job/srp.sh && logout) || exit 1
kill "$server"
ended() { ! kill -0 "$server"; }
wait_for 30 "end of the gateway" ended
must "the gateway ended well" grep -q "stopping" /tmp/sluice.log
echo "job: passed"
