# For jobs: timed and bounded steps, a request to the host, one check of a disk.
uptime_s() { cut -d. -f1 /proc/uptime; }

# step SECONDS WORDS...: runs a command, bounded; ends the job when it fails.
step() {
  local limit=$1 begin
  shift
  begin=$(uptime_s)
  if timeout "$limit" "$@" > /tmp/step.log 2>&1; then
    echo "step: $* ($(($(uptime_s) - begin)) s)"
  else
    echo "step FAILED, status $?: $*"
    tail -n 30 /tmp/step.log
    dmesg | tail -n 15
    exit 1
  fi
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local limit=$1 what=$2 deadline
  shift 2
  deadline=$(($(uptime_s) + limit))
  until "$@" > /dev/null 2>&1; do
    if [ "$(uptime_s)" -ge "$deadline" ]; then
      echo "step FAILED: no $what within $limit s"
      dmesg | tail -n 15
      exit 1
    fi
    sleep 0.2
  done
  echo "step: $what is there"
}

# ask_host WORD: has the host do something (see lab's requests) and waits until it is done.
ask_host() {
  rm -f "/job/done.$1"
  echo "$1" > "/job/request.$1"
  wait_for 120 "answer of the host to '$1'" test -e "/job/done.$1"
}

verify_disk() { # DEVICE SIZE RUNTIME: random reads and writes that fio checks
  fio --name=verify --filename="$1" --rw=randrw --bs=4k-64k --size="$2" --iodepth=4 --ioengine=libaio --direct=1 \
    --verify=crc32c --verify_fatal=1 ${3:+--time_based --runtime="$3"}
}
