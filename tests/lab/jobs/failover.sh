# dm-multipath over two gateways of one Ceph cluster: a file system on the map is written and verified without end while
# the gateway that owns the unit is killed, twice, and while the unit goes back to the first.
. /job/lib.sh
. /job/multipath_lib.sh

start_multipath
for port in $PORT $SECOND_PORT; do
  step 60 iscsiadm -m discovery -t sendtargets -p "$PORTAL_HOST:$port"
done
step 180 iscsiadm -m node --login
wait_for 120 "map with two paths" has_paths 2
step 60 udevadm settle
map=$(maps)
disk=/dev/mapper/$map
multipath -ll | cat
must "one map, of two paths" test "$(maps | wc -l) $(paths | wc -l)" = "1 2"
priority_of() { paths | awk -v disk="$1" '$2 == disk { print $5 }'; }
has_priority() { [ "$(priority_of "$1")" = "$2" ]; }
first=$(path_of "$IQN" 1) second=$(path_of "$IQN" 2)
echo "paths: $first by the first gateway, which owns the unit, $second by the second"
must "the owner's path is optimized, the other is active" test "$(priority_of "$first") $(priority_of "$second")" = "50 10"

step 300 mkfs.ext4 -q "$disk"
mkdir -p /mnt
step 60 mount -t ext4 "$disk" /mnt

rounds() { cat /tmp/rounds 2> /dev/null || echo 0; }
load() {
  local round=0
  until [ -e /tmp/stop ]; do
    verify_disk /mnt/verified 2m > /tmp/fio.map.log 2>&1 && dd if=/dev/urandom of=/mnt/more bs=64k count=8 conv=fsync \
      > /tmp/dd.log 2>&1 || { touch /tmp/failed; return; }
    round=$((round + 1))
    echo $round > /tmp/rounds
  done
}
have_passed() { [ -e /tmp/failed ] || [ "$(rounds)" -ge "$1" ]; }
goes_on() { # WHERE: by a round that began and ended since, and finds nothing wrong
  wait_for 300 "checked I/O $1" have_passed $(($(rounds) + 2))
  must "its data are right" test ! -e /tmp/failed
}
load &
goes_on "by the owner"
used "$first"

for each in "first $first $second" "second $second $first"; do
  set -- $each
  ask_host "kill-$1"
  wait_for 60 "failed path of the $1 gateway" is_down "$2"
  goes_on "after the $1 gateway was killed"
  used "$3"
  ask_host "start-$1"
  wait_for 300 "map with two paths" has_paths 2
  wait_for 60 "optimized path by the one that took over" has_priority "$3" 50
  goes_on "with both gateways"
  used "$3"
done

# The first owns it again; it is moved away, and back.
for each in "second $second" "first $first"; do
  set -- $each
  ask_host "move-to-$1"
  wait_for 60 "optimized path by the $1" has_priority "$2" 50
  goes_on "by the $1"
  used "$2"
done

touch /tmp/stop
wait_for 300 "end of the load" sh -c "! pgrep fio"
must "its data are right" test ! -e /tmp/failed
echo "load: $(rounds) rounds"
step 120 umount /mnt
step 180 e2fsck -fn "$disk"
must "the file system saw no error" test -z "$(dmesg | grep -E "EXT4-fs (error|warning)|Buffer I/O error|Aborting journal")"
step 60 multipath -f "$map"
step 60 iscsiadm -m node --logout
echo "job: passed"
