# shellcheck shell=bash
# Shared by the scripts of this folder: steps with progress, Debian's packages, building.
# Source it; it sets `root` and the shell's strict mode, and prints nothing by itself.
# shellcheck disable=SC2034  # what is set here is used by those who source it

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
# Everything runs in Debian's own interpreter, whatever comes first in PATH.
readonly python=/usr/bin/python3

# --- packages: the only list of them -----------------------------------------------------------

# What appd and its worker are built from, and run with.
readonly packages_build=(
  g++ cmake ninja-build pkg-config ccache
  libgrpc++-dev libssl-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler
  libsqlite3-dev nlohmann-json3-dev libspdlog-dev libcli11-dev libtomlplusplus-dev libncurses-dev
  node-llhttp zlib1g-dev python3-dev
)
# The example that scripts/quickstart runs.
readonly packages_example=(python3-flask curl)
# Beyond those, what the tests need.
readonly packages_test=(
  libgtest-dev python3-pytest python3-venv clang-format
  python3-django python3-cherrypy3 python3-starlette python3-fastapi python3-multipart
  python3-gevent python3-eventlet python3-tornado python3-uvloop python3-uvicorn
  python3-websockets python3-grpcio python3-protobuf python3-redis redis-server chromium faketime
  tmux man-db zsh fish openssl prometheus
)
readonly packages_lint=(clang-format clang-tidy shellcheck)
# The servers and tools that the benchmarks compare with.
readonly packages_bench=(
  python3-django python3-httptools nginx-light gunicorn uwsgi-core uwsgi-plugin-python3 wrk valgrind
)

# --- steps with progress -----------------------------------------------------------------------

step_number=0
step_count=0
log_dir=
live=false
if [[ -t 1 && ${TERM:-dumb} != dumb ]]; then live=true; fi

# start_steps COUNT: says how many calls of `step` follow, and where their logs go.
start_steps() {
  step_count=$1
  log_dir=$root/build/log
  mkdir -p "$log_dir"
}

bold() { if $live; then printf '\033[1m%s\033[0m' "$1"; else printf '%s' "$1"; fi; }

duration() {
  local seconds=$1
  if ((seconds < 60)); then printf '%d s' "$seconds"; else printf '%d min %02d s' $((seconds / 60)) $((seconds % 60)); fi
}

# step NAME COMMAND…: runs it with its output in a log file. On a terminal a live line shows the time
# and the log's last line; on failure the end of the log is shown and the status is the command's.
# Commands that are functions chain with &&: bash turns `set -e` off where a status is looked at.
step() {
  local name=$1 status=0 begin=$SECONDS log
  shift
  step_number=$((step_number + 1))
  log=$log_dir/$(printf '%02d-%s.log' "$step_number" "$(tr -cs 'A-Za-z0-9' '-' <<<"$name" | sed 's/-*$//')")
  local title="[$step_number/$step_count] $name"
  if $live; then
    ("$@") >"$log" 2>&1 &
    follow_step $! "$title" "$log" "$begin" || status=$?
    printf '\r\033[K'
  else
    printf '%s …\n' "$title"
    ("$@") >"$log" 2>&1 || status=$?
  fi
  if ((status == 0)); then
    printf '%s: done in %s\n' "$(bold "$title")" "$(duration $((SECONDS - begin)))"
  else
    printf '%s: FAILED after %s (exit status %d). The end of %s:\n\n' \
      "$(bold "$title")" "$(duration $((SECONDS - begin)))" "$status" "${log#"$root"/}"
    tail -n 60 "$log" | sed 's/^/    /'
    printf '\n'
  fi
  return "$status"
}

# Redraws one line until the process has ended; returns its status.
follow_step() {
  local pid=$1 title=$2 log=$3 begin=$4 width last text
  while kill -0 "$pid" 2>/dev/null; do
    width=$(tput cols 2>/dev/null || echo 80)
    last=$(tail -n 1 "$log" 2>/dev/null | tr -d '\r\033' | tr '\t' ' ')
    text="$title … $(duration $((SECONDS - begin)))  $last"
    printf '\r\033[K%s' "${text:0:width-1}"
    sleep 0.2
  done
  wait "$pid"
}

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  exit 1
}

# --- packages: installing ----------------------------------------------------------------------

# Prints those of its arguments that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      printf '%s\n' "$package"
    fi
  done
}

# install_packages NAME…: installs what is missing; touches neither network nor packages otherwise.
install_packages() {
  command -v dpkg-query >/dev/null || fail "this needs Debian 12 (no dpkg here)"
  local missing=() as_root=()
  mapfile -t missing < <(missing_packages "$@")
  if ((${#missing[@]} == 0)); then
    echo "all of them are installed"
    return
  fi
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      fail "run this as root, or install these first: apt-get install ${missing[*]}"
    fi
    as_root=(sudo)
  fi
  echo "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends "${missing[@]}"
}

# sudo asks for its password here, before a step hides the terminal.
prepare_sudo() {
  local missing
  missing=$(missing_packages "$@")
  if [[ -n $missing ]] && ((EUID != 0)) && command -v sudo >/dev/null; then sudo -v; fi
}

# --- building ----------------------------------------------------------------------------------

# As many compilers at once as there are processors, but not more than memory carries.
build_jobs() {
  local processors memory_mb
  processors=$(nproc)
  memory_mb=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
  local by_memory=$((memory_mb / 1200))
  if ((by_memory < 1)); then by_memory=1; fi
  if ((by_memory < processors)); then echo "$by_memory"; else echo "$processors"; fi
}

# Clones and worktrees of this repository share what one of them has compiled, wherever they lie.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

# build_tree FOLDER OPTION…: configures if need be, and builds.
build_tree() {
  local folder=$root/$1 generator=()
  shift
  if [[ ! -f $folder/CMakeCache.txt ]]; then generator=(-G Ninja); fi
  cmake -S "$root" -B "$folder" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release "$@" &&
    cmake --build "$folder" --parallel "$(build_jobs)"
}

# Files of ours that git knows or would add, with one of these endings.
own_files() {
  local patterns=() ending
  for ending in "$@"; do patterns+=("*.$ending"); done
  git -C "$root" ls-files --cached --others --exclude-standard -- "${patterns[@]}" | sort -u |
    while IFS= read -r file; do if [[ -f $root/$file ]]; then printf '%s\n' "$root/$file"; fi; done
}

check_format() {
  own_files h cc c | xargs -r clang-format --dry-run -Werror && echo "every file is formatted"
}
