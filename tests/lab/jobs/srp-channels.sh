# SRP with as many channels as the initiator asks for, and with fewer: the gateway gives a nexus one on each of its cores.
. /job/lib.sh
. /job/srp.sh

software_roce
export -f verify_disk
has_channels() { [ "$(cat /sys/class/scsi_host/host*/ch_count)" = "$1" ]; }
for count in 4 2 1; do
  if is_lio; then serve_lio; else serve $count; fi
  with_module ch_count=4
  login
  compare "four are asked for, and there are $count" has_channels $count
  step 180 bash -c "verify_disk $disk 2m"
  step 60 sg_reset -d "$disk"
  step 180 bash -c "verify_disk $disk 1m"
  logout
  end_server
  is_lio && break
done
echo "job: passed"
