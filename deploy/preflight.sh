#!/bin/bash
# May the worker live on this host? Every doubt in a row: ok, warn or fail, and what mends it. Changes nothing.
# Ends with 1 when a row says fail. What the program itself can say, it says: execution-worker-ctl check.
set -euo pipefail

HOME_FOLDER=/opt/execution-worker
SERVICE_USER=execution-worker
SYSTEMD_MIN=252
DISK_GB_MIN=1 DISK_GB_WANTED=10
INODES_MIN=10000
MEMORY_MB_MIN=512
FILES_MIN=1024
OFFSET_MS_MAX=1000 OFFSET_MS_WANTED=250

usage() {
  cat <<'TEXT'
usage: preflight.sh [OPTIONS]

  --instance NAME    look at execution-worker@NAME instead of execution-worker
  --mode MODE        dry_run, paper, testnet or live [default: as configured, else dry_run]
  --output DIR       the worker's folder [default: as configured]
  --signals DIR      the producer's folder [default: as configured]
  --url URL          the exchange to reach [default: the real one of the mode]
  --python PY        the Python to look at
  --before-install   user, folders and keys are made later
TEXT
}

failed=0
row() {
  printf '%-5s %-12s %s\n' "$1" "$2" "$3"
  [ -z "${4:-}" ] || printf '%18s → %s\n' "" "$4"
  [ "$1" != fail ] || failed=1
}

# What the installed program says of its settings; nothing where there is none.
configured() {
  local program="$HOME_FOLDER/current/bin/python"
  [ -x "$program" ] && [ -r "$etc/config.yaml" ] || return 0
  "$program" -I - "$etc/config.yaml" <<'PYTHON' 2>/dev/null || row warn settings "$etc/config.yaml cannot be used" "execution-worker-ctl check says why"
import os, sys
from pathlib import Path
from config.load import load_settings
settings = load_settings(config_file=Path(sys.argv[1]), environ={"LIVE_CONFIRM": "YES"}, overrides={}).settings
execution, broker = settings.execution, settings.broker
for name, value in {
    "mode": execution.mode.value, "output": execution.output_dir, "signals": execution.signals_dir,
    "port": execution.http.port, "venue": broker.name, "url": broker.rest_url or "",
}.items():
    print(f"{name}={value}")
PYTHON
}

python_row() {
  local candidate path
  for candidate in ${python:+"$python"} "$HOME_FOLDER/current/bin/python" {/usr/bin,/usr/local/bin}/python3{.14,.13,.12,.11,} python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$candidate
      path=$("$candidate" -c 'import os, sys; print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))')
      if [[ "$path" =~ ^/(root|home|run/user)/ ]]; then
        row fail python "$path lies in a home folder, which the service cannot see" "apt install python3-venv: it is in /usr/bin"
      elif "$candidate" -c 'import ensurepip' 2>/dev/null; then
        row ok python "$("$candidate" --version 2>&1), $path"
      else
        row fail python "$candidate cannot make virtual environments" "apt install python3-venv"
      fi
      return
    fi
  done
  row fail python "none of 3.11 or newer was found" "apt install python3.11 python3.11-venv, or name one with --python"
  python=""
}

systemd_row() {
  local version
  version=$(systemctl --version 2>/dev/null | awk 'NR == 1 {print $2}' || true)
  if [ -z "$version" ]; then
    row warn systemd "is not here" "use deploy/compose.yaml, or start the worker by other means"
  elif [ "$version" -lt "$SYSTEMD_MIN" ]; then
    row warn systemd "$version does not look for keys in /etc/credstore, $SYSTEMD_MIN does" \
      "in a drop-in give LoadCredential= the whole path of each key"
  elif [ ! -d /run/systemd/system ]; then
    row warn systemd "$version is installed and does not run here" "boot with it, or start the worker by other means"
  else
    row ok systemd "$version"
  fi
}

# The nearest folder above that exists.
existing() {
  local folder=$1
  until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
  echo "$folder"
}

disk_rows() {
  local folder free inodes
  folder=$(existing "$output")
  free=$(($(df -Pk "$folder" | awk 'NR == 2 {print $4}') / 1048576))
  if [ "$free" -lt "$DISK_GB_MIN" ]; then
    row fail disk "$free GiB are free at $folder, must be $DISK_GB_MIN" "make room: a full disk stops all orders"
  elif [ "$free" -lt "$DISK_GB_WANTED" ]; then
    row warn disk "$free GiB are free at $folder" "make room, or set execution.keep_days"
  else
    row ok disk "$free GiB are free at $folder"
  fi
  inodes=$(df -Pi "$folder" | awk 'NR == 2 {print $4}')
  if [[ "$inodes" =~ ^[0-9]+$ ]] && [ "$inodes" -lt "$INODES_MIN" ] && [ "$inodes" -gt 0 ]; then
    row fail inodes "$inodes are free at $folder, must be $INODES_MIN" "remove small files there"
  fi
  if findmnt -no FSTYPE -T "$folder" 2>/dev/null | grep -Eq '^(nfs|cifs|smb|fuse\.sshfs)'; then
    row fail "file system" "$folder is on the network" "use a disk of this host: locks and fsync do not hold there"
  fi
}

memory_row() {
  local free
  free=$(($(awk '/^MemAvailable:/ {print $2}' /proc/meminfo) / 1024))
  if [ "$free" -lt "$MEMORY_MB_MIN" ]; then
    row warn memory "$free MiB are free" "some 100 are needed for one worker, more while it catches up"
  else
    row ok memory "$free MiB are free"
  fi
}

clock_row() {
  local level=warn
  [ "$exchange" = no ] || level=fail
  if [ "$(timedatectl show -p NTPSynchronized --value 2>/dev/null)" = yes ] ||
    [ -e /run/systemd/timesync/synchronized ] || chronyc tracking 2>/dev/null | grep -q 'Leap status *: Normal'; then
    row ok clock "is synchronized, now $(date -u '+%Y-%m-%d %H:%M:%S') UTC"
  elif ! command -v timedatectl chronyc >/dev/null; then
    row warn clock "nothing here knows whether it is synchronized" "in a container look at the host"
  else
    row "$level" clock "is not synchronized" "timedatectl set-ntp true, or apt install chrony"
  fi
}

zone_row() {
  local zone
  zone=$(date +%Z)
  if [ "$zone" = UTC ]; then
    row ok "time zone" UTC
  else
    row warn "time zone" "$zone, while all files and times of the worker are UTC" "timedatectl set-timezone UTC"
  fi
}

files_row() {
  local limit
  limit=$(cat /proc/sys/fs/nr_open)
  if [ "$limit" -lt 8192 ]; then
    row fail "open files" "a process may have $limit, the unit asks for 8192" "sysctl fs.nr_open=1048576"
  elif [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt "$FILES_MIN" ]; then
    row warn "open files" "$(ulimit -n) in this shell; the unit has 8192 of its own" "ulimit -n 8192 for runs by hand"
  else
    row ok "open files" "up to $limit"
  fi
}

user_rows() {
  if ! id "$SERVICE_USER" >/dev/null 2>&1; then
    row fail user "$SERVICE_USER does not exist" "deploy/install.sh makes it"
  elif ! id -nG "$SERVICE_USER" | grep -qw signals; then
    row warn user "$SERVICE_USER is not in group signals" "usermod -aG signals $SERVICE_USER, and the producer's user too"
  else
    row ok user "$SERVICE_USER, groups $(id -nG "$SERVICE_USER" | tr ' ' ',')"
  fi
}

# as_service TEST FOLDER: whether the worker may; as itself when this is not root.
as_service() {
  if [ "$(id -u)" = 0 ] && id "$SERVICE_USER" >/dev/null 2>&1; then
    setpriv --reuid "$SERVICE_USER" --regid "$SERVICE_USER" --init-groups test "$1" "$2"
  else
    test "$1" "$2"
  fi
}

folder_rows() {
  local file
  if [ ! -d "$output" ]; then
    row ok output "$output is made by systemd with the first start"
  elif as_service -w "$output"; then
    row ok output "$output is writable"
  else
    row fail output "$output is not writable for $SERVICE_USER" "chown -R $SERVICE_USER: $output"
  fi
  if [ ! -d "$signals" ]; then
    row warn signals "$signals does not exist yet; the worker waits for it" "install -d -m 2770 -g signals $signals"
  elif ! as_service -r "$signals" || ! as_service -x "$signals"; then
    row fail signals "$signals is not readable for $SERVICE_USER" "chgrp signals $signals && chmod 2770 $signals"
  elif compgen -G "$signals/*.db" >/dev/null && ! as_service -w "$signals"; then
    row fail signals "$signals holds tables and is not writable for $SERVICE_USER, which SQLite needs" \
      "chgrp -R signals $signals && chmod -R g+rwX,o-rwx $signals && chmod g+s $signals; UMask=0007 for the producer"
  else
    row ok signals "$signals is readable"
  fi
  for file in "$signals"/signals.db "$signals"/signals_v2.db; do
    if [ ! -f "$file" ] || as_service -w "$file"; then continue; fi
    row fail tables "$file is not writable for $SERVICE_USER, so one of the two cannot use its -wal and -shm files" \
      "chgrp signals $file && chmod g+rw,o= $file: SQLite makes new tables 0640, whatever the umask"
  done
}

key_rows() {
  local name file owner=""
  [ "$exchange" = yes ] || return 0
  for name in BINANCE_API_KEY BINANCE_API_SECRET; do
    file="/etc/credstore/$unit.$name"
    if [ -e "/etc/credstore.encrypted/$unit.$name" ]; then
      row ok key "$name is encrypted"
    elif [ ! -e "$file" ]; then
      row fail key "$file does not exist" "(umask 077; cat > $file), paste the text, then Ctrl-D"
    elif [ -L "$file" ] || owner=$(stat -c '%u %a' "$file") && [[ ! "$owner" =~ ^0\ [46]00$ ]]; then
      row fail key "$file is a link, or not root's alone" "chown root: $file && chmod 600 $file"
    else
      row ok key "$file"
    fi
  done
}

port_row() {
  [ "$port" != 0 ] || return 0
  if ! { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
    row ok port "$port is free"
  elif systemctl is-active --quiet "${unit/execution-worker-/execution-worker@}" 2>/dev/null; then
    row ok port "$port is the worker's, which runs"
  else
    row fail port "$port is taken: $(ss -Hltnp "sport = :$port" 2>/dev/null | grep -o 'users:.*' | head -1)" \
      "stop that program, or set execution.http.port in $etc/config.yaml"
  fi
}

exchange_url() {
  case "$venue $mode" in
    "binance-futures live") echo https://fapi.binance.com/fapi/v1/time ;;
    "binance-futures testnet") echo https://demo-fapi.binance.com/fapi/v1/time ;;
    "binance-spot live") echo https://api.binance.com/api/v3/time ;;
    "binance-spot testnet") echo https://testnet.binance.vision/api/v3/time ;;
  esac
}

# The exchange has the last word on the time: it refuses orders of a clock that is off.
exchange_row() {
  local address said milliseconds path=/fapi/v1/time
  [ "$exchange" = yes ] && [ -n "$python" ] || return 0
  [ "$venue" != binance-spot ] || path=/api/v3/time
  address=${url:+${url%/}$path}
  address=${address:-$(exchange_url)}
  if ! said=$("$python" -I - "$address" <<'PYTHON' 2>&1
import json, sys, time, urllib.request
begun = time.time()
try:
    with urllib.request.urlopen(sys.argv[1], timeout=10) as answer:
        server_ms = json.load(answer)["serverTime"]
except (OSError, ValueError, KeyError) as error:
    sys.exit(str(getattr(error, "reason", error)))
print(round((begun + time.time()) * 500 - server_ms))
PYTHON
  ); then
    row fail exchange "$address cannot be reached ($said)" "look at DNS, firewall and proxy; some countries are refused"
    return
  fi
  milliseconds=${said#-}
  if [ "$milliseconds" -gt "$OFFSET_MS_MAX" ]; then
    row fail exchange "$address: our clock is off by $said ms, must be within $OFFSET_MS_MAX" "timedatectl set-ntp true"
  elif [ "$milliseconds" -gt "$OFFSET_MS_WANTED" ]; then
    row warn exchange "$address: our clock is off by $said ms" "timedatectl set-ntp true"
  else
    row ok exchange "$address answers, our clock is off by $said ms"
  fi
}

mode="" output="" signals="" url="" python="" before="" unit=execution-worker etc=/etc/execution-worker
while [ $# -gt 0 ]; do
  case "$1" in
    --mode | --output | --signals | --url | --python | --instance)
      [ $# -gt 1 ] || { echo "preflight: $1 wants a value" >&2 && exit 2; }
      case "$1" in
        --instance) unit=execution-worker-$2 etc=/etc/execution-worker/$2 ;;
        *) printf -v "${1#--}" %s "$2" ;;
      esac
      shift
      ;;
    --before-install) before=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && echo "preflight: there is no $1" >&2 && exit 2 ;;
  esac
  shift
done
declare -A set_to=([mode]=dry_run [output]=/var/lib/$unit [signals]=/var/lib/signals [port]=9109 [venue]=binance-futures)
while IFS='=' read -r name value; do
  if [[ "$name" =~ ^[a-z]+$ ]]; then set_to[$name]=$value; else echo "$name${value:+=$value}"; fi
done < <(configured)
mode=${mode:-${set_to[mode]}} output=${output:-${set_to[output]}} signals=${signals:-${set_to[signals]}}
url=${url:-${set_to[url]:-}} port=${set_to[port]} venue=${set_to[venue]}
case "$mode" in
  testnet | live) exchange=yes ;;
  dry_run | paper) exchange=no ;;
  *) echo "preflight: --mode is $mode, must be dry_run, paper, testnet or live" >&2 && exit 2 ;;
esac

python_row
systemd_row
disk_rows
memory_row
clock_row
zone_row
files_row
if [ -z "$before" ]; then
  user_rows
  folder_rows
  key_rows
fi
port_row
exchange_row
exit "$failed"
