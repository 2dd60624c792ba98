# For jobs of SRP: software RoCE, a target behind it (the gateway, or with TARGET=lio the kernel's own ib_srpt) and the
# kernel's initiator, all in the guest. One unit of 64 MiB, by SRP and, when the job wants it, by iSCSI. MEDIUM is "file",
# of a tmpfs, or "ram", the target's own.
address=10.9.9.1
host=/sys/class/infiniband_srp/srp-rxe0-1
configfs=/sys/kernel/config/target
MEDIUM=${MEDIUM:-file}

choose() { # TARGET: which of them the functions below are about
  TARGET=$1
  case $TARGET in
    lio) vendor=LIO-ORG id_ext=000000fffe000001 ioc_guid=000000fffe000001 port=5556 tcp_port=3261 ;;
    *) vendor=SLUICE id_ext=0002c90300a1b2c4 ioc_guid=0002c90300a1b2c3 port=5555 tcp_port=3260 ;;
  esac
  iqn=iqn.2026-11.io.sluice:$TARGET
}
choose "$TARGET"

diagnose() {
  [ -e /tmp/sluice.log ] && tail -n 30 /tmp/sluice.log
  rdma link show
}


# compare WHAT COMMAND...: a must of the gateway, where the kernel's own target may differ.
compare() {
  if is_lio && ! "${@:2}"; then echo "differs: not so: $1"; else must "$@"; fi
}

serve() { # [REACTORS]: the gateway
  cat > /tmp/sluice.toml << TOML
[gateway]
name = "lab"
state_dir = "/tmp/state"
control = "/tmp/control.sock"
reactors = ${1:-2}
buffers = "64MiB"
[store.a]
type = "$MEDIUM"
$([ "$MEDIUM" = file ] && echo 'path = "/tmp/a.raw"')
size = "64MiB"
[target.main]
luns = { 0 = "a" }
[target.main.access."0000000000000000:000000fffe000001"]
[target.main.access."$GUEST"]
[[target.main.port]]
fabric = "srp"
name = "$id_ext:$ioc_guid"
listen = ["$address:$port"]
[[target.main.port]]
fabric = "iscsi"
name = "$iqn"
listen = ["$address:$tcp_port"]
TOML
  run_gateway
}

serve_lio() {
  local store iscsi=$configfs/iscsi/$iqn/tpgt_1 srpt attribute
  modprobe configfs
  mount -t configfs configfs /sys/kernel/config
  mkdir -p /etc/target/pr # where it writes reservations, even those that end with it
  modprobe -a target_core_mod target_core_file ib_srpt iscsi_target_mod
  srpt=$configfs/srpt/$(cat /sys/class/infiniband/rxe0/node_guid)
  srpt=$srpt/${srpt##*/}
  if [ "$MEDIUM" = file ]; then
    store=$configfs/core/fileio_0/a
    mkdir -p "$store"
    echo "fd_dev_name=/tmp/lio.raw,fd_dev_size=$((64 << 20)),fd_buffered_io=1" > "$store/control"
  else
    store=$configfs/core/rd_mcp_0/a
    mkdir -p "$store"
    echo "rd_pages=$(((64 << 20) / 4096))" > "$store/control"
  fi
  echo 0001 > "$store/wwn/vpd_unit_serial" 2> /dev/null
  echo 1 > "$store/enable"
  mkdir -p "$srpt/lun/lun_0" "$iscsi/lun/lun_0"
  ln -s "$store" "$srpt/lun/lun_0/a"
  ln -s "$store" "$iscsi/lun/lun_0/a"
  echo $port > $configfs/srpt/discovery_auth/rdma_cm_port
  mkdir -p "$srpt/acls/$address/lun_0" # ib_srpt has no access without a list
  ln -s "$srpt/lun/lun_0" "$srpt/acls/$address/lun_0/a"
  mkdir -p "$iscsi/np/$address:$tcp_port"
  for attribute in authentication=0 generate_node_acls=1 cache_dynamic_acls=1 demo_mode_write_protect=0; do
    echo "${attribute#*=}" > "$iscsi/attrib/${attribute%=*}"
  done
  echo 1 > "$srpt/enable"
  echo 1 > "$iscsi/enable"
  echo "target: the kernel's own"
}
start_target() { if is_lio; then serve_lio; else serve; fi; }

disk_by() { # TRANSPORT: the disk of the target by "srp" or "iscsi"
  local each
  for each in /sys/block/sd*; do
    grep -q $vendor "$each/device/vendor" 2> /dev/null && [ "$(cat "$each/size")" != 0 ] || continue
    case $1:$(readlink -f "$each/device") in
      iscsi:*/session*) ;;
      srp:*/session*) continue ;;
      srp:*) ;;
      *) continue ;;
    esac
    echo "/dev/${each##*/}"
    return 0
  done
  return 1
}

login() { # OPTIONS: of add_target, each with a comma before it
  step 60 sh -c "echo id_ext=$id_ext,ioc_guid=$ioc_guid,dest=$address:$port$1 > $host/add_target"
  wait_for 60 disk disk_by srp
  disk=$(disk_by srp)
  echo "channels: $(cat /sys/class/scsi_host/host*/ch_count 2> /dev/null)"
}
logout() {
  local each
  for each in /sys/class/srp_remote_ports/port-*; do step 60 sh -c "echo 1 > $each/delete"; done
  wait_for 60 "end of the disk" eval '! disk_by srp'
}
with_module() { # OPTION...
  modprobe -r ib_srp
  step 60 modprobe ib_srp "$@"
  wait_for 30 "port of ib_srp" test -e $host/add_target
}
login_iscsi() {
  pgrep iscsid > /dev/null || open_iscsi
  step 60 iscsiadm -m node -o new -T $iqn -p "$address:$tcp_port,1"
  step 120 iscsiadm -m node -T $iqn -p "$address:$tcp_port" --login
  wait_for 60 "disk of iSCSI" disk_by iscsi
  tcp_disk=$(disk_by iscsi)
}
logout_iscsi() {
  step 60 iscsiadm -m node -T $iqn -p "$address:$tcp_port" --logout
  wait_for 60 "end of the disk of iSCSI" eval '! disk_by iscsi'
}
