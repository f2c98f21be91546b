#!/bin/bash
# Runs inside the booted container, as root: does what an operator and a bad night do, and notes what it sees.
# Each note is a file below /notes; the test outside reads them when the container has ended.
set -u
NOTES=/notes
CTL=/opt/execution-worker/current/share/execution-worker-ctl
PROGRAM=/opt/execution-worker/current/bin/execution-worker
PATIENCE_S=40

note() { tee -a "$NOTES/$1" >/dev/null; }
shown() { systemctl show "$1" -p ActiveState,SubState,NRestarts,ExecMainStatus,StatusText,Result,MainPID | note "$2"; }

until_true() {
  local end=$((SECONDS + PATIENCE_S))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { echo "in vain: $*" | note trouble && return 1; }
    sleep 0.2
  done
}

# As the producer: another user, the shared group, the umask of its own unit.
produce() {
  setpriv --reuid 4242 --regid signals --clear-groups bash -c "umask 007; cd /; exec $PROGRAM sample --shape v2-sqlite \
    --rate 0 --count 20 --seed $1 --symbols BTCUSDT,ETHUSDT --into /var/lib/signals" 2>&1 | note "produced-$1"
}

rows_are() { [ "$("$CTL" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["rows"])')" = "$1" ]; }
pid_of() { systemctl show "$1" -p MainPID --value; }
is_another() { [ "$(pid_of execution-worker)" != "$1" ] && [ "$(systemctl is-active execution-worker)" = active ]; }
is_failed() { [ "$(systemctl is-failed "$1")" = failed ]; }
has_restarted() { [ "$(systemctl show "$1" -p NRestarts --value)" -ge "$2" ]; }

echo begun | note begun

produce 1
systemctl start execution-worker
echo "$?" | note start-code
until_true "$CTL" healthcheck
"$CTL" healthcheck 2>&1 | note healthcheck
until_true rows_are 20
shown execution-worker running
produce 2
until_true rows_are 40
"$CTL" status 2>&1 | note status
stat -c '%U %G %a %n' /var/lib/execution-worker /var/lib/execution-worker/executions/executions.db /var/lib/signals/* | note files
grep -E '^(Uid|Gid|Groups|CapEff|Seccomp|NoNewPrivs)' "/proc/$(pid_of execution-worker)/status" | note process
"$CTL" check 2>&1 | note check

before=$(pid_of execution-worker)
kill -9 "$before"
until_true is_another "$before"
until_true "$CTL" healthcheck
shown execution-worker killed

# The watchdog: a process that stands still is ended and started again.
before=$(pid_of execution-worker)
kill -STOP "$before"
until_true is_another "$before"
shown execution-worker stood-still

cp /etc/execution-worker/config.yaml /tmp/good.yaml
sed -i 's/mode: dry_run/mode: nonsense/' /etc/execution-worker/config.yaml
systemctl restart execution-worker 2>/dev/null
until_true is_failed execution-worker
sleep 3
shown execution-worker misconfigured
cp /tmp/good.yaml /etc/execution-worker/config.yaml
sed -i 's/^execution:/execution:\n  enabled: false/' /etc/execution-worker/config.yaml
systemctl start execution-worker
echo "$?" | note disabled-code
sleep 1
shown execution-worker disabled
cp /tmp/good.yaml /etc/execution-worker/config.yaml

# An instance with keys, on the practice exchange.
"$PROGRAM" exchange --port 8080 >/dev/null 2>&1 &
cp -r /etc/execution-worker/trial-config /etc/execution-worker/trial
systemctl start execution-worker@trial 2>/dev/null
until_true is_failed execution-worker@trial
shown execution-worker@trial without-keys
umask 077
printf loopback-key >/etc/credstore/execution-worker-trial.BINANCE_API_KEY
printf loopback-secret >/etc/credstore/execution-worker-trial.BINANCE_API_SECRET
umask 022
systemctl start execution-worker@trial
until_true "$CTL" -i trial healthcheck
"$CTL" -i trial account 2>&1 | note account
find /run/credentials -name 'BINANCE*' -printf '%P %m\n' | note credentials
shown execution-worker@trial with-keys

# Failures in a row: the exchange is gone, the pause grows, and a person need not wait for it.
kill %1
systemctl restart execution-worker@trial &
wait %2 2>/dev/null
shown execution-worker@trial without-exchange
SECONDS=0
systemctl stop execution-worker@trial
echo "$SECONDS" | note stop-seconds

systemctl restart execution-worker
shown execution-worker at-last
systemctl stop execution-worker
shown execution-worker stopped
journalctl --no-pager -o cat 2>/dev/null | tail -300 | note journal
echo ended | note ended
systemctl exit 0
