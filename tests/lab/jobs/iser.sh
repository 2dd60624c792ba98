# iSER: the kernel's ib_iser with open-iscsi over software RoCE, against the gateway in the guest itself, where the device
# is; beside it the same disk over TCP.
. /job/lib.sh

address=10.9.9.1 port=3260
iqn=iqn.2026-11.io.sluice:lab
GUEST=iqn.2026-11.io.sluice:guest

diagnose() {
  tail -n 30 /tmp/sluice.log
  tail -n 10 /tmp/iscsid.log
  rdma link show
}

login() { # OPTION=VALUE...: of the node
  local each
  step 60 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port,1" -o new
  for each in "$@"; do
    step 30 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" -o update -n "${each%%=*}" -v "${each#*=}"
  done
  step 120 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" --login
  wait_for 60 disk disk_of iser
  disk=$(disk_of iser)
}
logout() {
  step 60 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" --logout
  step 30 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" -o delete
}

rdma_link $address
iscsi_initiator "node.session.timeo.replacement_timeout = 300"
modprobe ib_iser

printf %s "a secret of the lab" > /tmp/secret
chmod 600 /tmp/secret
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
[target.main.access."$GUEST"]
[[target.main.port]]
fabric = "iser"
name = "$iqn"
listen = ["$address:$port"]
[[target.main.port]]
fabric = "iscsi"
group = 2
name = "$iqn"
listen = ["$address:$port"]
[target.secret]
luns = { 0 = "a" }
[target.secret.access."$GUEST"]
chap.user = "guest"
chap.secret_file = "/tmp/secret"
[[target.secret.port]]
fabric = "iser"
name = "$iqn-secret"
listen = ["$address:$port"]
TOML
serve
export -f verify_disk

login
echo "disk: $disk, $(blockdev --getsize64 "$disk") octets"
step 30 "$SLUICE" session ls --control /tmp/control.sock
must "the session says that it is one of RDMA" grep -q "RDMAExtensions=Yes" /tmp/step.log
step 180 bash -c "verify_disk $disk 4m"
file_system_on "$disk"
step 60 sg_reset -d "$disk"
step 60 sg_reset -t "$disk"
step 180 bash -c "verify_disk $disk 1m"

# The same disk over TCP: a reservation of one nexus keeps the other out.
step 60 iscsiadm -m node -T "$iqn" -p "$address:$port,2" -o new
step 120 iscsiadm -m node -I default -T "$iqn" -p "$address:$port" --login
wait_for 60 "disk over TCP" disk_of tcp
other=$(disk_of tcp)
step 60 sg_persist --out --register --param-sark=0xcafe "$disk"
step 60 sg_persist --out --reserve --param-rk=0xcafe --prout-type=1 "$disk"
sg_raw "$other" 00 00 00 00 00 00 > /tmp/step.log 2>&1  # its unit attention
must "the other nexus may read" dd if="$other" of=/dev/null bs=4k count=1 iflag=direct
must "the other nexus may not write" sh -c "! sg_dd if=/dev/zero of=$other bs=512 count=1 oflag=sgio > /tmp/step.log 2>&1"
step 60 sg_persist --out --release --param-rk=0xcafe --prout-type=1 "$disk"
step 60 sg_persist --out --register --param-rk=0xcafe --param-sark=0 "$disk"
step 60 iscsiadm -m node -I default -T "$iqn" -p "$address:$port" --logout
logout

# Every way of sending data that nobody asked for.
for r2t in Yes No; do
  for immediate in Yes No; do
    login node.session.iscsi.InitialR2T=$r2t node.session.iscsi.ImmediateData=$immediate
    step 180 bash -c "verify_disk $disk 2m"
    logout
  done
done

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
