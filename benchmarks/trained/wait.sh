#!/bin/bash
# wait.sh SECONDS: waits until no training runs or SECONDS are over; then puts what is finished, and the logs, into $OUT.
cd "$(dirname "$0")" || exit
end=$((SECONDS + $1))
while [ $SECONDS -lt $end ] && pgrep -f "train_gpu[.]py" >/dev/null; do sleep 1; done
cp out/*.npz "$OUT"/ 2>/dev/null
tail -n 1000 out/*.log >"$OUT/logs.txt"
for log in out/*.log; do tail -n "${2:-2}" "$log" | cut -c1-400; done
