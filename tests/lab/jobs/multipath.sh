# dm-multipath over both portal groups of a target: one map, checked I/O that goes on while the gateway ends the
# sessions of a group or takes the group away, and paths that come back. Another target behind the first portal notices
# nothing.
. /job/lib.sh

. /job/multipath_lib.sh

start_multipath
first=$PORTAL_HOST:$PORT second=$PORTAL_HOST:$SECOND_PORT
step 60 iscsiadm -m discovery -t sendtargets -p "$first"
must "discovery shows both targets, and the groups of each" test "$(iscsiadm -m node | sort)" = \
  "$(printf '%s\n' "$first,1 $IQN" "$first,1 $OTHER_IQN" "$second,2 $IQN" | sort)"
step 180 iscsiadm -m node --login
ask_host sessions

wait_for 120 "map with two paths" has_paths 2
step 60 udevadm settle
map=$(maps)
disk=/dev/mapper/$map
multipath -ll | cat
must "one map, of two paths" test "$(maps | wc -l) $(paths | wc -l)" = "1 2"
must "the kernel asks them by ALUA" grep -q "hwhandler='1 alua'" <(multipath -ll)
must "both are active/optimized" test "$(paths | grep -c ' 50$')" = 2

# Which path lies in which group: what the session says, the path's own page 83h, and REPORT TARGET PORT GROUPS.
one=$(path_of "$IQN" 1) two=$(path_of "$IQN" 2) other=$(path_of "$OTHER_IQN" 1)
echo "paths: $map is $one (group 1) and $two (group 2); the other target's disk is $other"
numbers() { xargs -r printf '%d %d\n'; } # of hexadecimal ones, two in a line
groups_of() { # DISK: group and relative port, a line for each, as REPORT TARGET PORT GROUPS has them
  sg_rtpg -d "/dev/$1" | sed -nE 's/.*group id : (0x[0-9a-f]+).*/\1/p; s/^ +(0x[0-9a-f]+)$/\1/p' | numbers
}
own_group() { # DISK: the same of the port that its path leads to, as its page 83h has it
  sg_inq --page=0x83 "/dev/$1" | sed -nE 's/.*(Target port group|Relative target port): (0x[0-9a-f]+)$/\2/p' |
    tac | numbers
}
for path in "1 $one" "2 $two"; do
  group=${path% *} of=${path#* }
  must "$of is told two groups, and has its own port in group $group" test \
    "$(groups_of "$of" | wc -l) $(groups_of "$of" | grep "^$group ")" = "2 $(own_group "$of")"
done

# A registration of the map is one of each path; sg3-utils reads them back by a path of its own.
key=0x51c1
step 60 mpathpersist --out --register --param-sark=$key "$disk"
registered_ports() { # mpathpersist registers both at once: in any order
  sg_persist --in --read-full-status "/dev/$two" | tee /tmp/registrants |
    sed -nE 's/.*Relative port address: (0x[0-9a-f]+)$/\1/p' | sort | xargs
}
must "each path is registered, by its own port" test "$(registered_ports)" = "0x1 0x2"
step 60 mpathpersist --out --clear --param-rk=$key "$disk"
nobody_registered() { sg_persist --in --read-keys "/dev/$one" | grep -q "there are NO registered"; }
wait_for 30 "end of both registrations" nobody_registered # the first to ask is told RESERVATIONS PREEMPTED

fio_s=$(uptime_s)
must "checked I/O on the map" eval 'verify_disk "$disk" 8m > /tmp/fio.map.log 2>&1'
echo "fio: $(($(uptime_s) - fio_s)) s; $(sed -nE 's/^ +(READ|WRITE): (bw=\S+) .*/\1 \2/p' /tmp/fio.map.log | xargs)"

# From here on both disks are written and verified, round after round.
rounds() { cat "/tmp/rounds.$1" 2> /dev/null || echo 0; }
load() { # NAME DISK
  local round=0
  until [ -e /tmp/stop ]; do
    verify_disk "$2" 2m > "/tmp/fio.$1.log" 2>&1 || { touch "/tmp/failed.$1"; return; }
    round=$((round + 1))
    echo $round > "/tmp/rounds.$1"
  done
}
have_passed() { [ -e "/tmp/failed.$1" ] || [ "$(rounds "$1")" -ge "$2" ]; } # NAME ROUNDS
goes_on() { # WHERE: both loads get further by a round that began and ended since, and find nothing wrong
  local name begin
  for name in map other; do
    begin=$(rounds $name)
    wait_for 300 "checked I/O ($name) $1" have_passed $name $((begin + 2))
    must "its data are right" test ! -e /tmp/failed.$name
  done
}
all_are_down() { [ "$(paths | grep -c " failed ")" = 2 ]; }
load map "$disk" &
load other "/dev/$other" &
goes_on "over both groups"
used "$one"
used "$two"

ask_host kick
goes_on "while the sessions of group 2 end again and again"
ask_host end-kicks
wait_for 180 "map with two paths" has_paths 2

# Where group 2 was, nothing listens any more; where group 1 was, logins are answered "not found" for the other's sake.
for gone in "2 $two 1" "1 $one 2"; do
  set -- $gone
  ask_host "without-group-$1"
  wait_for 180 "failed path of group $1" is_down "$2"
  goes_on "over group $3 alone"
  must "the path of group $1 is still down" is_down "$2"
  ask_host both-groups
  wait_for 300 "map with two paths" has_paths 2
  used "$2"
done
goes_on "over both groups"

# With neither group commands wait, as no_path_retry says, and go on when one is back.
ask_host without-groups
wait_for 180 "failed paths of both groups" all_are_down
sleep 3 # a round may just have ended
rounds_before=$(rounds map)
sleep 5
must "no command has failed" test ! -e /tmp/failed.map -a "$(rounds map)" = "$rounds_before"
ask_host both-groups
wait_for 300 "map with two paths" has_paths 2
goes_on "over both groups"
ask_host sessions

touch /tmp/stop
wait_for 300 "end of the load" sh -c "! pgrep fio"
must "its data are right" test ! -e /tmp/failed.map -a ! -e /tmp/failed.other
echo "fio: $(rounds map) rounds on the map, $(rounds other) on the other target's disk"
sum_of() { dd if="$1" bs=1M count=8 iflag=direct 2> /dev/null | sha256sum; }
must "each path reads what was written by both" test "$(sum_of "$disk")" = "$(sum_of "/dev/$one")" -a \
  "$(sum_of "/dev/$one")" = "$(sum_of "/dev/$two")"
step 60 multipath -f "$map"
step 60 iscsiadm -m node --logout
echo "job: passed"
