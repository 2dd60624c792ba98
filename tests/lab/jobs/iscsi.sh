# The kernel's iSCSI initiator (open-iscsi): login, checked I/O, a file system, and a gateway that restarts under load.
. /job/lib.sh

modprobe ext4
iscsi_initiator "node.session.timeo.replacement_timeout = 300"
portal=$PORTAL_HOST:$PORT
step 60 iscsiadm -m node -o new -T "$IQN" -p "$portal,1"
step 120 iscsiadm -m node -T "$IQN" -p "$portal" --login
wait_for 60 disk sh -c 'ls /sys/class/iscsi_session/session*/device/target*/*/block/*/size'
disk=$(ls -d /sys/class/iscsi_session/session*/device/target*/*:"$LUN"/block/* | head -n 1)
disk=/dev/${disk##*/}
echo "disk: $disk, $(blockdev --getsize64 "$disk") octets, $(cat "/sys/block/${disk##*/}/device/vendor")"

export -f verify_disk
step 180 bash -c "verify_disk $disk 8m"
step 180 mkfs.ext4 -q "$disk"
mkdir -p /mnt
step 60 mount -t ext4 "$disk" /mnt
step 180 cp -r /etc /mnt/etc

# The gateway goes away and comes back while files are written; the initiator must log in again by itself.
(for i in $(seq 40); do dd if=/dev/urandom of="/tmp/file.$i" bs=64k count=2 2> /dev/null; cp "/tmp/file.$i" /mnt/; sync; done
  echo written > /tmp/writer.done) &
sleep 1
ask_host restart
wait_for 240 "end of the writes over the restart" test -e /tmp/writer.done
step 60 sh -c 'for i in $(seq 40); do cmp /tmp/file.$i /mnt/file.$i || exit 1; done'
step 60 umount /mnt
step 120 e2fsck -fn "$disk"
step 60 iscsiadm -m node -T "$IQN" -p "$portal" --logout
echo "job: passed"
