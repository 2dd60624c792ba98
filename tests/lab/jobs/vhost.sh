# virtio-scsi of an unmodified guest whose disks are units of the gateway: checked I/O, a file system, a disk that grows,
# one that comes and goes, and a gateway that is killed under verified load.
. /job/lib.sh

diagnose() { lsblk | cat; }

modprobe -a virtio_scsi sd_mod sg crc32c_generic ext4
disks() { ls -d /sys/bus/virtio/drivers/virtio_scsi/virtio*/host*/target*/*/block/*; }
has_disks() { [ "$(disks 2> /dev/null | wc -l)" = "$1" ]; }
wait_for 60 disk has_disks 1
disk=$(disks)
disk=/dev/${disk##*/}
echo "disk: $disk, $(blockdev --getsize64 "$disk") octets, $(cat "/sys/block/${disk##*/}/device/vendor")"
echo "queues: $(ls -d /sys/block/"${disk##*/}"/mq/* | wc -l)"

export -f verify_disk
step 240 bash -c "verify_disk $disk 8m"
file_system_on "$disk"

# Nobody rescans: the guest is told by its event queue.
is_as_large_as() { [ "$(blockdev --getsize64 "$disk")" = "$1" ]; }
ask_host grow
wait_for 60 "larger disk" is_as_large_as "$GROWN"
ask_host add-lun
wait_for 60 "second disk" has_disks 2
step 120 bash -c "verify_disk $(disks | sed -n '2s,.*/,/dev/,p') 4m"
ask_host remove-lun
wait_for 60 "one disk again" has_disks 1

# The gateway dies twice, in the middle of what it has in flight.
(verify_disk "$disk" 16m 40 > /tmp/verify.log 2>&1; echo $? > /tmp/verify.done) &
sleep 8
ask_host kill
sleep 8
ask_host kill
wait_for 300 "end of the verification" test -e /tmp/verify.done
must "nothing was lost over the kills" grep -qx 0 /tmp/verify.done
must "no error in the guest" sh -c '! dmesg | grep -iE "i/o error|critical|timing out|hung"'
echo "job: passed"
