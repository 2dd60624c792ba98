# For jobs over several paths: open-iscsi and dm-multipath, and what they say of paths.
diagnose() {
  multipath -ll | cat
  multipathd show paths
  iscsiadm -m session
  cat /tmp/registrants
  tail -n 20 /tmp/multipathd.log /tmp/iscsid.log /tmp/fio.*.log
}

# start_multipath: by the host's multipath.conf.
start_multipath() {
  modprobe -a dm_multipath scsi_dh_alua
  iscsi_initiator # before udev, which would give the interface another name
  mkdir -p /etc/multipath
  cp /job/multipath.conf /etc/multipath.conf
  /usr/lib/systemd/systemd-udevd > /tmp/udevd.log 2>&1 &
  wait_for 60 udev udevadm control --ping
  step 60 udevadm trigger --subsystem-match=block
  step 120 udevadm settle
  multipathd -d > /tmp/multipathd.log 2>&1 &
  wait_for 60 multipathd multipathd show daemon
}

maps() { multipathd show maps raw format "%n"; }
# Of maps: the map, the disk, dm's state of the path and the checker's, the priority.
paths() { multipathd show paths raw format "%m %d %t %T %p" | grep -v orphan; }
has_paths() { [ "$(paths | grep -c " active ready ")" = "$1" ]; }
is_down() { paths | grep -q "$1 failed "; }
path_of() { # IQN GROUP: the disk
  local session
  for session in /sys/class/iscsi_session/session*; do
    [ "$(cat "$session/targetname") $(cat "$session/tpgt")" = "$1 $2" ] || continue
    ls "$session"/device/target*/*/block
  done
}

requests_of() { awk '{print $1 + $5}' "/sys/block/$1/stat"; } # reads and writes that ended
takes_requests() { [ "$(requests_of "$1")" -gt "$2" ]; }
used() { # DISK: its path takes requests
  wait_for 120 "I/O by $1" takes_requests "$1" $(($(requests_of "$1") + 20))
}
