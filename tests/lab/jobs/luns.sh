# A LUN that comes by `sluice apply`: the gateway tells by an Asynchronous Message, and open-iscsi looks for it,
# without a rescan by anybody and without a command that a unit attention could come back by.
. /job/lib.sh

diagnose() {
  lsblk | cat
  tail -n 20 /tmp/iscsid.log
}

iscsi_initiator
portal=$PORTAL_HOST:$PORT
step 60 iscsiadm -m node -o new -T "$IQN" -p "$portal,1"
step 120 iscsiadm -m node -T "$IQN" -p "$portal" --login
disks() { ls -d /sys/class/iscsi_session/session*/device/target*/*/block/* 2> /dev/null; }
wait_for 60 disk sh -c 'ls /sys/class/iscsi_session/session*/device/target*/*/block/*/size'
must "one disk at first" test "$(disks | wc -l)" = 1
sleep 5 # for what follows a login
ask_host add-lun
has_disks() { [ "$(disks | wc -l)" = "$1" ]; }
wait_for 60 "second disk" has_disks 2
ask_host remove-lun
step 30 iscsiadm -m node -T "$IQN" -p "$portal" --logout
echo "job: passed"
