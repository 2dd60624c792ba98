# libiscsi's conformance tool over iSER, by the kernel's initiator: Debian 12's own iSER initiator in the tool sends none of
# the tests' commands, and aborts.
. /job/lib.sh
. /job/iser.sh

software_roce
open_iscsi
modprobe ib_iser
serve
login
# Left out: what asks for iSCSI itself; Sanitize, in which the tool crashes where it has no iSCSI; Prefetch, whose status
# CONDITION MET Linux' sg does not hand through; and UnmapUntilEnd, where the tool's own data are not zero by way of sg (over
# the kernel's TCP, too; sg_write_same of the same blocks zeroes them).
tests=$(iscsi-test-cu --list | sed -n 's/^ALL\.\(Write[A-Za-z0-9]*\.[A-Za-z0-9]*\)$/\1/p' | grep WriteSame | grep -v UnmapUntilEnd)
families=$(iscsi-test-cu --list | sed -n 's/^ALL\.\([A-Za-z0-9]*\)$/\1/p' |
  grep -vE '^(iSCSI|Sanitize|Prefetch|MultipathIO|WriteSame)')
passed=0
for each in $families $tests; do
  timeout 180 iscsi-test-cu --dataloss -v -S -t "ALL.$each" "$disk" > /tmp/tool.log 2>&1
  ended=$?
  cat /tmp/tool.log >> /job/tool.log
  passed=$((passed + $(grep -c '^passed\|\.\.\.passed' /tmp/tool.log)))
  must "$each" sh -c "[ $ended = 0 ] && ! grep -q FAILED /tmp/tool.log"
done
must "$passed tests passed, some of them skipped" test $passed -gt 150
logout
end_server
echo "job: passed"
