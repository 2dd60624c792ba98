# iSER: the kernel's ib_iser with open-iscsi over software RoCE, against the gateway in the guest itself, where the device
# is; beside it the same disk over TCP.
. /job/lib.sh
. /job/iser.sh

software_roce
open_iscsi "node.session.timeo.replacement_timeout = 300"
modprobe ib_iser
start_target
export -f verify_disk

login
echo "disk: $disk, $(blockdev --getsize64 "$disk") octets"
if ! is_lio; then
  step 30 "$SLUICE" session ls --control /tmp/control.sock
  must "the session says that it is one of RDMA" grep -q "RDMAExtensions=Yes" /tmp/step.log
fi
step 180 bash -c "verify_disk $disk 4m"
file_system_on "$disk"
step 60 sg_reset -d "$disk"
step 60 sg_reset -t "$disk"
step 180 bash -c "verify_disk $disk 1m"

# The same disk over TCP: a reservation of one nexus keeps the other out.
step 60 iscsiadm -m node -I default -T "$iqn" -p "$address:$tcp_port,2" -o new
step 120 iscsiadm -m node -I default -T "$iqn" -p "$address:$tcp_port" --login
wait_for 60 "disk over TCP" disk_of tcp
other=$(disk_of tcp)
step 60 sg_persist --out --register --param-sark=0xcafe "$disk"
step 60 sg_persist --out --reserve --param-rk=0xcafe --prout-type=1 "$disk"
sg_raw "$other" 00 00 00 00 00 00 > /tmp/step.log 2>&1  # its unit attention
must "the other nexus may read" dd if="$other" of=/dev/null bs=4k count=1 iflag=direct
must "the other nexus may not write" sh -c "! sg_dd if=/dev/zero of=$other bs=512 count=1 oflag=sgio > /tmp/step.log 2>&1"
step 60 sg_persist --out --release --param-rk=0xcafe --prout-type=1 "$disk"
step 60 sg_persist --out --register --param-rk=0xcafe --param-sark=0 "$disk"
step 60 iscsiadm -m node -I default -T "$iqn" -p "$address:$tcp_port" --logout
logout

# Every way of sending data that nobody asked for.
for r2t in Yes No; do
  for immediate in Yes No; do
    login node.session.iscsi.InitialR2T=$r2t node.session.iscsi.ImmediateData=$immediate
    step 180 bash -c "verify_disk $disk 2m"
    logout
  done
done

if is_lio; then
  echo "job: passed"
  exit 0
fi

# CHAP: a wrong secret, then the right one.
iqn=$iqn-secret
step 60 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port,1" -o new
chap() { # SECRET
  for each in authmethod=CHAP username=guest "password=$1"; do
    iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" -o update -n "node.session.auth.${each%%=*}" -v "${each#*=}"
  done
}
chap "something else at all" > /dev/null
must "a wrong secret is refused" sh -c "! iscsiadm -m node -I iser -T $iqn -p $address:$port --login > /tmp/step.log 2>&1"
chap "a secret of the lab" > /dev/null
step 120 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" --login
wait_for 60 "disk behind a secret" disk_of iser
step 180 bash -c "verify_disk $(disk_of iser) 1m"
logout
iqn=${iqn%-secret}

# The gateway is killed and comes back while fio verifies.
login
verify_over_a_kill "$disk"
logout
end_server
echo "job: passed"
