# What the kernel makes of a disk: one name of it, everywhere; the longest request; and a volatile cache, also for a
# node that looks while another one holds a Write Exclusive reservation: its fsyncs reach the gateway as flushes.
. /job/lib.sh

diagnose() {
  sg_inq --page=0x83 "/dev/$disk"
  sg_persist --in --read-full-status "/dev/$disk"
  tail -n 20 /tmp/udevd.log /tmp/iscsid.log
}

iscsi_initiator # before udev, which would give the interface another name
/usr/lib/systemd/systemd-udevd > /tmp/udevd.log 2>&1 &
wait_for 60 udev udevadm control --ping
portal=$PORTAL_HOST:$PORT
step 60 iscsiadm -m node -o new -T "$IQN" -p "$portal,1"
step 120 iscsiadm -m node -T "$IQN" -p "$portal" --login
wait_for 60 disk sh -c 'ls /sys/class/iscsi_session/session*/device/target*/*/block/*/size'
path=$(ls -d /sys/class/iscsi_session/session*/device/target*/*/block/* | head -n 1)
disk=${path##*/}
step 60 udevadm settle

of_queue() { cat "/sys/block/$disk/queue/$1"; }
must "the longest request has 4 MiB" test "$(of_queue max_sectors_kb)" = 4096
dmesg | grep "\[$disk\]" | cat
must "the cache is volatile" test "$(of_queue write_cache)" = "write back"
must "the kernel says so" grep -q "\[$disk\] Write cache: enabled" <(dmesg)

echo "names: kernel $(cat "$path/device/wwid"), udev $(udevadm info --query=property --property=ID_SERIAL --value "/dev/$disk")"
must "the kernel calls it by its NAA name" test "$(cat "$path/device/wwid")" = "naa.$NAA"
must "scsi_id does" test "$(/usr/lib/udev/scsi_id --whitelisted --page=0x83 "/dev/$disk")" = "3$NAA"
must "sg_inq does, which udev's rules of sg3-utils ask" grep -q "SCSI_IDENT_LUN_NAA_LOCAL=$NAA" <(sg_inq --export --page=di "/dev/$disk")
must "udev's rules do" grep -q "^E: ID_SERIAL=3$NAA\$" <(udevadm info "/dev/$disk")

must "another node holds the reservation" grep -q "Write Exclusive" <(sg_persist --in --read-reservation "/dev/$disk")
step 30 sg_persist --out --register --param-sark=0xbeef "/dev/$disk"
ask_host count-flushes
for i in $(seq 6); do step 30 dd if=/dev/urandom of="/dev/$disk" bs=64k count=1 seek="$i" conv=notrunc,fsync; done
ask_host six-flushes
step 30 iscsiadm -m node -T "$IQN" -p "$portal" --logout
echo "job: passed"
