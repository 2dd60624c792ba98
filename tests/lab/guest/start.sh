# Runs the job, says how it ended, switches the guest off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
. /job/environment
export LD_LIBRARY_PATH=$TOOLS/usr/lib/x86_64-linux-gnu:$TOOLS/lib/x86_64-linux-gnu
ln -sf "$TOOLS/bin/kmod" /sbin/modprobe
cd /tmp
setsid -w bash /job/job.sh
echo "GUEST-RC=$?"
sync
echo o > /proc/sysrq-trigger
sleep 60
