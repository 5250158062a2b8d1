# Shared by the end-to-end tests: a work folder of the test's own, a registry and a cluster on loopback, steps that say what
# they check, and a clean end by pid.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${LIGHTER_BIN:-$root/build/release/bin}
work=$(mktemp -d /tmp/lighter-e2e.XXXXXX)
passed=0
failed=0
registry_pid=
others=() # more processes to end after the cluster
mounts=()

say() { printf '%s\n' "$*"; }

# A free TCP port on loopback, below those that the kernel gives to clients: a client that tries again and again to reach a
# server that is down would otherwise be given the server's own port one day.
free_port() {
  python3 - <<'P'
import random, socket
while True:
    port = random.randrange(20000, 32000)
    try:
        with socket.socket() as s:
            s.bind(("127.0.0.1", port))
        print(port)
        break
    except OSError:
        pass
P
}

# step NAME COMMAND...: runs the command (a function, mostly) and counts.
step() {
  local name=$1 start=$EPOCHREALTIME log="$work/step.log"
  shift
  # Not as the condition of an `if`: there bash would ignore a failing command inside.
  set +e
  (set -e; "$@") >"$log" 2>&1
  local code=$?
  set -e
  if [ $code -eq 0 ]; then
    passed=$((passed + 1))
    printf 'ok   %-52s %6.2f s\n' "$name" "$(bc_sub "$EPOCHREALTIME" "$start")"
  else
    failed=$((failed + 1))
    printf 'FAIL %s\n' "$name"
    tail -n 30 "$log" | sed 's/^/     | /'
    [ -z "${STOP_AT_FAILURE:-}" ] || exit 1
  fi
}
bc_sub() { awk -v a="$1" -v b="$2" 'BEGIN { print a - b }'; }

# eventually SECONDS COMMAND...: until it succeeds. SLOW=N waits N times as long (emulated machines).
eventually() {
  local deadline=$((SECONDS + $1 * ${SLOW:-1}))
  shift
  until "$@"; do
    [ $SECONDS -lt $deadline ] || { echo "still not true: $*"; return 1; }
    sleep 0.1
  done
}

# expect TEXT COMMAND...: the output contains TEXT.
expect() {
  local want=$1 got
  shift
  got=$("$@" 2>&1) || { echo "$got"; echo "failed: $*"; return 1; }
  [[ $got == *"$want"* ]] || { echo "got: $got"; echo "want: $want"; return 1; }
}

start_registry() {
  registry_port=$(free_port)
  local storage=${registry_storage:-$work/registry}
  mkdir -p "$storage"
  cat >"$work/registry.yml" <<Y
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $storage}}
http: {addr: "127.0.0.1:$registry_port"}
Y
  docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
  registry_pid=$!
  eventually 20 curl -fsS -o /dev/null "http://127.0.0.1:$registry_port/v2/" 2>/dev/null
  registry="127.0.0.1:$registry_port"
}

push_image() { # KIND NAME:TAG [PAGE]
  local archive="$work/image.tar"
  "$root/tests/e2e/image.py" build "$1" "$archive" --page "${3:-hello}"
  "$root/tests/e2e/image.py" push "$archive" "$registry" "$2"
  rm -f "$archive"
}

start_cluster() { # [flags of lighter up...]
  data="$work/data"
  api_port=$(free_port)
  export KUBECONFIG="$work/kubeconfig"
  "$bin/lighter" up --data-dir "$data" --port "$api_port" --kubeconfig "$KUBECONFIG" --detach "$@"
}

small_disk() { # DIR MIB: a file system of its own there
  mkdir -p "$1"
  mount -t tmpfs -o "size=$2m" none "$1"
  mounts+=("$1")
}
fill() { head -c 1G /dev/zero >"$1/filler" 2>/dev/null || true; }
server_pid() { "$bin/lighter" status --data-dir "$data" | sed -n 's/^running as process \([0-9]*\),.*/\1/p'; }

finish() {
  local code=$?
  trap - EXIT
  set +e
  [ -z "${data:-}" ] || "$bin/lighter" down --data-dir "$data" >"$work/down.log" 2>&1 || cat "$work/down.log"
  [ ${#others[@]} -eq 0 ] || { kill "${others[@]}"; wait "${others[@]}"; } 2>/dev/null
  [ -z "$registry_pid" ] || { kill "$registry_pid"; wait "$registry_pid"; } 2>/dev/null
  for mount in "${mounts[@]}"; do umount "$mount"; done
  if [ -n "${KEEP:-}" ]; then say "kept $work"; else rm -rf "$work"; fi
  say "$passed passed, $failed failed"
  [ $failed -eq 0 ] && [ $code -eq 0 ] && exit 0
  exit 1
}
trap finish EXIT
