# shellcheck shell=bash disable=SC2034
# What the scripts share: the server's installation, running as root and as an unprivileged user,
# a private folder with servers in it, and waiting. Nothing here sleeps blindly.

# One locale, and one that every machine has: that of the caller may be missing, and Redis then refuses
# to start.
unset LANGUAGE
export LC_ALL=C.UTF-8

say() { printf '%s\n' "$*"; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

unset MAKEFLAGS MAKELEVEL MFLAGS
JOBS=$(nproc 2>/dev/null || echo 2)

# Debian's client has PGXS, but the headers are in a package of their own.
builds_extensions() { [ -f "$("$1" --pgxs 2>/dev/null)" ] && [ -f "$("$1" --includedir-server)/postgres.h" ]; }

# The pg_config to build with, in PG_CONFIG: the one given, or else the first that knows how to build
# extensions of the one on the PATH and Debian's, newest first.
find_pg_config() {
  local candidate
  while read -r candidate; do
    if [ -n "$candidate" ] && builds_extensions "$candidate"; then
      export PG_CONFIG=$candidate
      PG_BIN=$("$candidate" --bindir)
      PG_PGXS=$(dirname "$(dirname "$(dirname "$("$candidate" --pgxs)")")")
      return 0
    fi
  done < <(
    say "${PG_CONFIG:-pg_config}"
    if [ "${PG_CONFIG:-pg_config}" = pg_config ]; then
      find /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV
    fi
  )
  return 1
}

# The version in the control file; `full`: with three numbers, as PGXN wants it.
control_version() {
  local version
  version=$(sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" cache_invalidate.control)
  if [ "${1:-}" = full ] && [[ $version =~ ^[0-9]+\.[0-9]+$ ]]; then version=$version.0; fi
  say "$version"
}

# A variable of PGXS' Makefile.global, unexpanded.
pgxs_variable() { sed -n "s/^$1[[:space:]]*=[[:space:]]*//p" "$PG_PGXS/src/Makefile.global" | head -n 1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    sudo -- "$@"
  else
    say "this needs root, and there is neither root nor sudo: $*" >&2
    return 1
  fi
}

# quietly WHAT COMMAND...: says what it does, and shows the output only if it fails
quietly() {
  local output status=0
  printf '%s ... ' "$1"
  shift
  output=$("$@" 2>&1) || status=$?
  if [ $status -eq 0 ]; then say 'done'; else printf 'failed\n%s\n' "$output"; fi
  return $status
}

# Installs what was built, as root if the server's folders are root's: install_module [VARIABLES OF MAKE...]
install_module() {
  local as=as_root
  if [ -w "$("$PG_CONFIG" --pkglibdir)" ] && [ -w "$("$PG_CONFIG" --sharedir)/extension" ]; then as=; fi
  # the server's user must be able to read it, whatever our umask is
  $as sh -c 'umask 022 && exec make install "$@"' make PG_CONFIG="$PG_CONFIG" "$@"
}

# PostgreSQL refuses to run as root: then it runs as its own user, or as nobody. Call it after setup,
# which may have made that user.
find_server_user() {
  SERVER_USER=$(id -un)
  if [ "$(id -u)" -eq 0 ]; then
    if id postgres >/dev/null 2>&1; then SERVER_USER=postgres; else SERVER_USER=nobody; fi
  fi
}
as_server_user() {
  if [ "$(id -un)" = "$SERVER_USER" ]; then "$@"; else runuser -u "$SERVER_USER" -- "$@"; fi
}

# Waits until a command succeeds: wait_until SECONDS COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then return 1; fi
    sleep 0.05
  done
}

# A private folder, WORK, that belongs to the unprivileged user and goes away with the script, and with
# it every process that lives in it. In /tmp: a socket's path must be short, and that user must get there.
make_work_dir() {
  find_server_user
  WORK=$(mktemp -d /tmp/cache_invalidate.XXXXXX)
  chown "$SERVER_USER" "$WORK"
  trap remove_work_dir EXIT
  trap 'exit 130' INT TERM HUP
}
processes_in() {
  local cwd pid
  for cwd in /proc/[0-9]*/cwd; do
    pid=${cwd#/proc/}
    case "$(readlink "$cwd" 2>/dev/null || true)" in
      "$1" | "$1"/*) say "${pid%/cwd}" ;;
    esac
  done
}
empty_of_processes() { [ -z "$(processes_in "$1")" ]; }
remove_work_dir() {
  local signal
  for signal in INT KILL; do
    # shellcheck disable=SC2046  # a list of numbers
    empty_of_processes "$WORK" || kill -"$signal" $(processes_in "$WORK") 2>/dev/null || true
    if wait_until 10 empty_of_processes "$WORK"; then break; fi
  done
  rm -rf "$WORK"
}
