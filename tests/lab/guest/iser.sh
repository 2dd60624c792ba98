# For jobs of iSER: software RoCE, a target behind it (the gateway, or with TARGET=lio the kernel's own ib_isert) and
# open-iscsi with ib_iser, all in the guest. One unit of 64 MiB, by iSER and by TCP.
address=10.9.9.1 port=3260
GUEST=iqn.2026-11.io.sluice:guest
iqn=iqn.2026-11.io.sluice:$TARGET
tcp_port=$port
is_lio && tcp_port=3261

diagnose() {
  [ -e /tmp/sluice.log ] && tail -n 30 /tmp/sluice.log
  tail -n 10 /tmp/iscsid.log
  rdma link show
}

serve() {
  printf %s "a secret of the lab" > /tmp/secret
  chmod 600 /tmp/secret
  cat > /tmp/sluice.toml << TOML
[gateway]
name = "lab"
state_dir = "/tmp/state"
control = "/tmp/control.sock"
reactors = 2
buffers = "64MiB"
[store.a]
type = "file"
path = "/tmp/a.raw"
size = "64MiB"
[unit.a]
store = "a"
thin = true
[target.main]
luns = { 0 = "a" }
[target.main.access."$GUEST"]
${MORE_PORTS:-}
[[target.main.port]]
fabric = "iser"
name = "$iqn"
listen = ["$address:$port"]
[[target.main.port]]
fabric = "iscsi"
group = 2
name = "$iqn"
listen = ["$address:$tcp_port"]
[target.secret]
luns = { 0 = "a" }
[target.secret.access."$GUEST"]
chap.user = "guest"
chap.secret_file = "/tmp/secret"
[[target.secret.port]]
fabric = "iser"
name = "$iqn-secret"
listen = ["$address:$port"]
TOML
  run_gateway
}

serve_lio() {
  local configfs=/sys/kernel/config/target attribute group where
  local store=$configfs/core/fileio_0/a
  modprobe configfs
  mount -t configfs configfs /sys/kernel/config
  mkdir -p /etc/target/pr # where it writes reservations, even those that end with it
  modprobe -a target_core_mod target_core_file iscsi_target_mod ib_isert
  mkdir -p "$store"
  echo "fd_dev_name=/tmp/lio.raw,fd_dev_size=$((64 << 20)),fd_buffered_io=1" > "$store/control"
  echo 1 > "$store/enable"
  for where in 1:$port 2:$tcp_port; do
    group=$configfs/iscsi/$iqn/tpgt_${where%:*}
    mkdir -p "$group/lun/lun_0" "$group/np/$address:${where#*:}"
    ln -s "$store" "$group/lun/lun_0/a"
    for attribute in authentication=0 generate_node_acls=1 cache_dynamic_acls=1 demo_mode_write_protect=0; do
      echo "${attribute#*=}" > "$group/attrib/${attribute%=*}"
    done
    [ "${where%:*}" = 2 ] || echo 1 > "$group/np/$address:$port/iser"
    echo 1 > "$group/enable"
  done
  echo "target: the kernel's own"
}
start_target() { if is_lio; then serve_lio; else serve; fi; }

# disk_of TRANSPORT: the disk of a session over iser or tcp.
disk_of() {
  local each host
  for each in /sys/class/iscsi_session/session*/device/target*/*/block/*; do
    [ -e "$each/size" ] && [ "$(cat "$each/size")" != 0 ] || continue
    host=$(readlink -f "$each" | sed -n 's,.*/\(host[0-9]*\)/session.*,\1,p')
    case "$1:$(cat "/sys/class/scsi_host/$host/proc_name")" in
      iser:*iser* | tcp:*tcp*) echo "/dev/${each##*/}" && return 0 ;;
    esac
  done
  return 1
}

login() { # OPTION=VALUE...: of the node
  local each
  step 60 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port,1" -o new
  for each in "$@"; do
    step 30 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" -o update -n "${each%%=*}" -v "${each#*=}"
  done
  step 120 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" --login
  wait_for 60 disk disk_of iser
  disk=$(disk_of iser)
}
logout() {
  step 60 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" --logout
  step 30 iscsiadm -m node -I iser -T "$iqn" -p "$address:$port" -o delete
}
