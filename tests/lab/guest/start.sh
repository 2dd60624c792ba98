# Runs the job, says how it ended, switches the guest off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
. /job/environment
cd /tmp
echo "guest: the job begins $(cut -d. -f1 /proc/uptime) s after the kernel"
setsid -w bash /job/job.sh
echo "GUEST-RC=$?"
sync
echo o > /proc/sysrq-trigger
sleep 60
