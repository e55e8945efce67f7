# shellcheck shell=bash
# Private servers inside WORK, for the scripts: source lib.sh first and call make_work_dir. PGCTLTIMEOUT says how many seconds
# they may take to start and to stop (60).

# Starts a cluster that listens on a socket in its own folder only, makes it the default of psql and of
# the test drivers, and waits until it answers: postgres_start NAME [LINE OF postgresql.conf...]
postgres_start() {
  local dir=$WORK/$1
  shift
  if [ ! -d "$dir/data" ]; then
    (cd "$WORK" && as_server_user mkdir -p "$dir/socket" &&
      as_server_user "$PG_BIN/initdb" -D "$dir/data" -U postgres -A trust --no-sync -E UTF8 --locale=C) \
      >"$WORK/initdb.log" 2>&1 || { cat "$WORK/initdb.log" && return 1; }
  fi
  printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$dir/socket'" 'port = 5432' \
    'fsync = off' 'max_prepared_transactions = 20' "$@" |
    as_server_user tee "$dir/data/postgresql.auto.conf" >/dev/null
  export PGHOST=$dir/socket PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
  (cd "$WORK" && as_server_user "$PG_BIN/pg_ctl" -D "$dir/data" -l "$dir/log" -w start >/dev/null) ||
    { tail -n 40 "$dir/log" && return 1; }
}
postgres_stop() {
  (cd "$WORK" && as_server_user "$PG_BIN/pg_ctl" -D "$WORK/$1/data" -m fast -w stop >/dev/null)
}

# Starts a Redis on a socket in its own folder: redis_start NAME [LINE OF redis.conf...]
redis_start() {
  local dir=$WORK/$1
  shift
  as_server_user mkdir -p "$dir"
  printf '%s\n' 'port 0' "unixsocket $dir/redis.sock" "dir $dir" "pidfile $dir/pid" "logfile $dir/log" \
    'daemonize yes' 'save ""' "$@" | as_server_user tee "$dir/redis.conf" >/dev/null
  (cd "$WORK" && as_server_user redis-server "$dir/redis.conf")
  wait_until 20 redis-cli -s "$dir/redis.sock" ping
}
redis_stop() { redis-cli -s "$WORK/$1/redis.sock" shutdown nosave; }
