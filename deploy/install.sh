#!/bin/bash
# Installs the worker on this host, switches between its versions, and removes it. Each command may be repeated.
set -euo pipefail

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HOME_FOLDER=/opt/execution-worker
ETC=/etc/execution-worker
UNITS=/etc/systemd/system
SERVICE_USER=execution-worker
VERSIONS_KEPT=3
READY_WAIT_S=120

usage() {
  cat <<'TEXT'
usage: deploy/install.sh [COMMAND] [OPTIONS]

  install          build this version, install it beside the others, switch to it (the default; also the upgrade)
  instance NAME    configuration for one more worker, execution-worker@NAME
  list             the installed versions; * is in use, - the one before
  rollback         switch back to the version before
  uninstall        remove program and units; configuration, keys, store and user stay

  --root DIR       install below DIR, for images and containers; starts nothing
  --python PY      the Python to use, 3.11 or newer [default: the newest found]
  --wheel FILE     install this wheel instead of building one
  --extra NAME     with an extra: notify or parquet; may be given twice
  --skip-preflight do not look at the host first
  --dry-run        say what would be done, and do nothing
TEXT
}

say() { echo "install: $*"; }

fail() {
  echo "install: $2" >&2
  exit "$1"
}

run() {
  if [ -n "$dry_run" ]; then
    echo "would: $*"
  else
    "$@"
  fi
}

# write FILE MODE: standard input becomes FILE at once, or stays as it was.
write() {
  if [ -n "$dry_run" ]; then
    cat >/dev/null
    echo "would: write $1"
    return
  fi
  install -m "$2" /dev/stdin "$1.new"
  mv -f "$1.new" "$1"
}

# The program name of what stands behind a link such as current; nothing when there is none.
behind() { basename "$(readlink "$root$HOME_FOLDER/$1" 2>/dev/null || true)"; }

# point LINK VERSION: in one step, so that there is never no version.
point() {
  run ln -sfn "$2" "$root$HOME_FOLDER/.$1.new"
  run mv -fT "$root$HOME_FOLDER/.$1.new" "$root$HOME_FOLDER/$1"
}

with_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

# fits PY: sets found to its real path when it is new enough, can make environments, and is visible to the service,
# whose sandbox shows it no home folders.
fits() {
  found=$("$1" -c 'import ensurepip, os, sys
assert sys.version_info >= (3, 11)
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))' 2>/dev/null) || return 1
  [[ ! "$found" =~ ^/(root|home|run/user)/ ]]
}

find_python() {
  local name found=""
  if [ -n "$python" ]; then
    fits "$python" || fail 78 "$python is no Python 3.11 or newer with venv outside of /home and /root${found:+ (it is $found)}: name another"
    python=$found
    return
  fi
  for name in {/usr/bin,/usr/local/bin}/python3{.14,.13,.12,.11,} python3; do
    if fits "$name"; then
      python=$found
      return
    fi
  done
  fail 78 "no Python 3.11 or newer with venv was found outside of /home and /root: apt install python3-venv, or name one with --python"
}

look_at_the_host() {
  [ -z "$root" ] && [ -z "$skip_preflight" ] || return 0
  bash "$SOURCE/deploy/preflight.sh" --python "$python" --before-install ||
    fail 78 "the host is not ready: mend the rows that say fail, or give --skip-preflight"
}

pip_of() { "$1/bin/python" -m pip --disable-pip-version-check --quiet "${@:2}"; }

build_wheel() {
  if [ -n "$wheel" ]; then
    [ -f "$wheel" ] || fail 78 "--wheel $wheel does not exist: name a file"
    return
  fi
  say "building the wheel"
  "$python" -m venv "$scratch/build"
  "$python" "$SOURCE/deploy/runtime_lock.py" --build >"$scratch/build.lock"
  pip_of "$scratch/build" install --require-hashes -r "$scratch/build.lock"
  pip_of "$scratch/build" wheel --no-deps --no-build-isolation --wheel-dir "$scratch/dist" "$SOURCE"
  wheel=$(echo "$scratch"/dist/*.whl)
}

# The same wheel, lock and Python always make the same name, so an installation that is there is known again.
name_version() {
  local number
  "$python" "$SOURCE/deploy/runtime_lock.py" "${extras[@]}" >"$scratch/runtime.lock"
  number=$(basename "$wheel" | cut -d- -f2)
  version="$number-$({
    cat "$wheel" "$scratch/runtime.lock"
    "$python" -c 'import sys; print(sys.version)'
  } | sha256sum | cut -c1-8)"
}

install_version() {
  local folder="$root$HOME_FOLDER/$version" script
  if [ -f "$folder/complete" ]; then
    say "version $version is installed already"
    return
  fi
  say "installing version $version"
  # What an interrupted installation left.
  rm -rf "$folder"
  install -d -m 0755 "$root$HOME_FOLDER" "$folder"
  "$python" -m venv "$folder"
  pip_of "$folder" install --no-compile --require-hashes -r "$scratch/runtime.lock"
  pip_of "$folder" install --no-compile --no-deps "$wheel"
  # Nobody can write here later, so what Python would cache is made now, with the names that it will have.
  "$folder/bin/python" -m compileall -q ${root:+-s "$root"} "$folder/lib" || true
  install -d -m 0755 "$folder/share"
  install -m 0755 "$SOURCE/deploy/systemd/restart-pause" "$SOURCE/deploy/execution-worker-ctl" \
    "$SOURCE/deploy/preflight.sh" "$folder/share/"
  install -m 0644 "$SOURCE/deploy/README.md" "$SOURCE/config/defaults.yaml" "$folder/share/"
  install -m 0644 "$SOURCE"/deploy/systemd/*.* "$folder/share/"
  if [ -n "$root" ]; then
    for script in "$folder"/bin/* "$folder/pyvenv.cfg"; do
      [ -L "$script" ] || ! grep -Iq "$folder" "$script" || sed -i "s|$folder|$HOME_FOLDER/$version|g" "$script"
    done
  fi
  chmod -R go-w "$folder"
  : >"$folder/complete"
}

make_user() {
  local file="$SOURCE/deploy/systemd/execution-worker"
  if [ "$(id -u)" != 0 ]; then
    say "not root: user, groups and /var/lib/signals are left for later: systemd-sysusers, systemd-tmpfiles"
    return
  fi
  run install -d -m 0755 "$root/etc" "$root/var/lib"
  run install -D -m 0644 "$file.sysusers" "$root/usr/lib/sysusers.d/execution-worker.conf"
  run install -D -m 0644 "$file.tmpfiles" "$root/usr/lib/tmpfiles.d/execution-worker.conf"
  if command -v systemd-sysusers >/dev/null; then
    run systemd-sysusers ${root:+--root="$root"} execution-worker.conf
    run systemd-tmpfiles --create ${root:+--root="$root"} execution-worker.conf
  elif [ -n "$root" ]; then
    say "there is no systemd-sysusers: user and groups are made when the image starts with systemd"
  else
    getent group signals >/dev/null || run groupadd --system signals
    id "$SERVICE_USER" >/dev/null 2>&1 || run useradd --system --user-group --groups signals \
      --home-dir /var/lib/execution-worker --no-create-home --shell /usr/sbin/nologin "$SERVICE_USER"
    [ -d /var/lib/signals ] || run install -d -m 2770 -g signals /var/lib/signals
  fi
}

# configure FOLDER NAME PORT: a configuration that is there is left as it is.
configure() {
  run install -d -m 0755 "$root$1"
  run install -d -m 0700 "$root/etc/credstore"
  if [ ! -e "$root$1/config.yaml" ]; then
    sed "s|/var/lib/execution-worker\$|/var/lib/$2|; s|port: 9109|port: $3|" "$SOURCE/deploy/systemd/config.yaml" |
      write "$root$1/config.yaml" 0644
  fi
  if [ ! -e "$root$1/environment" ]; then
    printf '%s\n' '# NAME=VALUE, such as LIVE_CONFIRM=YES. Keys do not belong here but in /etc/credstore.' |
      write "$root$1/environment" 0600
  fi
}

install_units() {
  local unit from
  run install -d -m 0755 "$root$UNITS" "$root/usr/local/bin" "$root/usr/local/sbin"
  for unit in execution-worker.service execution-worker@.service; do
    from="$root$HOME_FOLDER/$1/share/$unit"
    # A dry run has installed none.
    [ -f "$from" ] || from="$SOURCE/deploy/systemd/$unit"
    write "$root$UNITS/$unit" 0644 <"$from"
  done
  run ln -sfn "$HOME_FOLDER/current/bin/execution-worker" "$root/usr/local/bin/execution-worker"
  run ln -sfn "$HOME_FOLDER/current/share/execution-worker-ctl" "$root/usr/local/sbin/execution-worker-ctl"
  ! with_systemd || run systemctl daemon-reload
}

# Every configuration that this host has, one file a line.
configurations() { find "$root$ETC" -maxdepth 2 -name config.yaml 2>/dev/null | sort; }

# would_serve VERSION: whether it understands each configuration and can read each store.
would_serve() {
  local file
  while read -r file; do
    "$root$HOME_FOLDER/$1/bin/python" -I - "$file" <<'PYTHON' || return 1
import os, re, sqlite3, sys
from importlib.resources import files
from pathlib import Path
from config.errors import ConfigError
from config.load import load_settings

file = Path(sys.argv[1])
environment = dict(os.environ)
beside = file.with_name("environment")
if os.access(beside, os.R_OK):
    for line in beside.read_text().splitlines():
        if match := re.fullmatch(r"\s*([A-Za-z_]\w*)=(.*)", line):
            environment[match[1]] = match[2].strip().strip("\"'")
try:
    loaded = load_settings(config_file=file, environ=environment, overrides={})
except ConfigError as error:
    sys.exit("\n".join(f"install: {problem}" for problem in error.problems))
store = loaded.settings.execution.output_dir / "executions" / "executions.db"
if os.access(store, os.R_OK):
    known = max(int(one.name[:4]) for one in files("store").joinpath("schema").iterdir() if one.name[:4].isdigit())
    connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    stands = connection.execute("PRAGMA user_version").fetchone()[0]
    if stands > known:
        sys.exit(f"install: store {store} has schema {stands}, this version knows {known}: a newer version wrote it")
PYTHON
  done < <(configurations)
}

switch_to() {
  local before
  before=$(behind current)
  if [ -n "$before" ] && [ "$before" != "$1" ]; then point previous "$before"; fi
  [ "$before" = "$1" ] || point current "$1"
  install_units "$1"
  say "version in use: $1${before:+, before: $before}"
  if with_systemd; then restart_running; fi
}

restart_running() {
  local unit units file
  # By their names: a timer for backups is called much the same, and is never ready.
  mapfile -t units < <(systemctl list-units --plain --no-legend --state=active,activating,reloading \
    execution-worker.service 'execution-worker@*.service' | awk '{print $1}')
  for unit in "${units[@]}"; do
    say "restarting $unit, then waiting up to $READY_WAIT_S s for it to be ready"
    run systemctl restart "$unit"
    file=$ETC/config.yaml
    if [[ "$unit" =~ @(.+)\.service$ ]]; then file=$ETC/${BASH_REMATCH[1]}/config.yaml; fi
    [ -n "$dry_run" ] || wait_ready "$unit" "$file"
  done
}

wait_ready() {
  local end=$((SECONDS + READY_WAIT_S)) said
  until said=$("$HOME_FOLDER/current/bin/execution-worker" --config "$2" healthcheck 2>&1); do
    [ "$SECONDS" -lt "$end" ] ||
      fail 69 "$1 is not ready after $READY_WAIT_S s ($said): journalctl -u $1; deploy/install.sh rollback goes back"
    sleep 1
  done
  say "$1 is $said"
}

forget_old_versions() {
  local folder
  [ -z "$dry_run" ] || return 0
  # The newest first; the two in use are never among those that go.
  while read -r folder; do
    case "$(basename "$folder")" in "$(behind current)" | "$(behind previous)") continue ;; esac
    say "removing version $(basename "$folder")"
    run rm -rf "$folder"
  done < <(find "$root$HOME_FOLDER" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2- | tail -n "+$((VERSIONS_KEPT + 1))")
}

do_install() {
  find_python
  look_at_the_host
  if [ -n "$dry_run" ]; then
    say "would build and install with $python below $root$HOME_FOLDER"
    version=VERSION
  else
    build_wheel
    name_version
    install_version
  fi
  make_user
  configure "$ETC" execution-worker 9109
  if [ -z "$dry_run" ]; then
    would_serve "$version" || fail 78 "version $version is installed but not in use: mend the above, then install again"
  fi
  switch_to "$version"
  forget_old_versions
  cat <<TEXT

Next: keys, when the mode is testnet or live:  $root/etc/credstore/execution-worker.BINANCE_API_KEY, ….BINANCE_API_SECRET
      settings:  $root$ETC/config.yaml
      may it start?  execution-worker-ctl check
      start, and at every boot:  systemctl enable --now execution-worker
TEXT
}

do_instance() {
  local port=9110
  [[ "$1" =~ ^[a-z0-9][a-z0-9_.-]{0,30}$ ]] || fail 2 "instance wants a name such as spot: small letters, digits, - and _"
  while grep -qs "port: $port\$" "$root$ETC"/*/config.yaml; do port=$((port + 1)); done
  configure "$ETC/$1" "execution-worker-$1" "$port"
  say "settings: $ETC/$1/config.yaml; keys: /etc/credstore/execution-worker-$1.BINANCE_API_KEY and ….BINANCE_API_SECRET"
  say "start: systemctl enable --now execution-worker@$1; commands: execution-worker-ctl -i $1 status"
}

do_list() {
  local folder name mark
  for folder in "$root$HOME_FOLDER"/*/complete; do
    [ -e "$folder" ] || fail 69 "no version is installed: deploy/install.sh"
    [ ! -L "$(dirname "$folder")" ] || continue
    name=$(basename "$(dirname "$folder")") mark=" "
    if [ "$name" = "$(behind current)" ]; then mark="*"; elif [ "$name" = "$(behind previous)" ]; then mark="-"; fi
    echo "$mark $name"
  done
}

do_rollback() {
  local before
  before=$(behind previous)
  [ -n "$before" ] || fail 69 "there is no version before this one: deploy/install.sh list shows all"
  would_serve "$before" || fail 78 "version $before cannot serve here: see deploy/README.md, Roll back"
  switch_to "$before"
}

do_uninstall() {
  local unit
  if with_systemd; then
    run systemctl disable --now execution-worker.service 2>/dev/null || true
    while read -r unit; do run systemctl disable --now "$unit"; done < \
      <(systemctl list-units --all --plain --no-legend 'execution-worker@*' | awk '{print $1}')
  fi
  run rm -f "$root$UNITS/execution-worker.service" "$root$UNITS/execution-worker@.service" \
    "$root/usr/local/bin/execution-worker" "$root/usr/local/sbin/execution-worker-ctl" \
    "$root/usr/lib/sysusers.d/execution-worker.conf" "$root/usr/lib/tmpfiles.d/execution-worker.conf"
  run rm -rf "$root$HOME_FOLDER"
  ! with_systemd || run systemctl daemon-reload
  say "removed. Still there: $ETC, /etc/credstore/execution-worker*, /var/lib/execution-worker*, user $SERVICE_USER"
  say "the stores keep signals from being executed twice: delete them only together with the signals"
}

command=install root="" python="" wheel="" skip_preflight="" dry_run="" name="" extras=()
while [ $# -gt 0 ]; do
  case "$1" in
    install | upgrade | list | rollback | uninstall) command=$1 ;;
    instance) command=$1 name=${2:-} && shift ;;
    --root | --python | --wheel | --extra)
      # An empty one is a variable that was not set: --root "" must not mean this host.
      [ -n "${2:-}" ] || fail 2 "$1 wants a value: deploy/install.sh --help"
      case "$1" in --root) root=$2 ;; --python) python=$2 ;; --wheel) wheel=$2 ;; --extra) extras+=(--extra "$2") ;; esac
      shift
      ;;
    --skip-preflight) skip_preflight=yes ;;
    --dry-run) dry_run=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && fail 2 "there is no $1" ;;
  esac
  shift || true
done
if [ -n "$root" ]; then
  root=$(realpath -m -- "$root")
  [ "$root" != / ] || root=""
fi
[ -n "$root" ] || [ -n "$dry_run" ] || [ "$command" = list ] || [ "$(id -u)" = 0 ] ||
  fail 77 "must run as root: sudo deploy/install.sh, or give --root DIR"
umask 022
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
case "$command" in
  install | upgrade) do_install ;;
  instance) do_instance "$name" ;;
  list) do_list ;;
  rollback) do_rollback ;;
  uninstall) do_uninstall ;;
esac
