# shellcheck shell=bash
# The groups of tests that need a server with the module in it. Each counts what it runs; none stops
# the others.

TEST_TIMEOUT=${TEST_TIMEOUT:-600}
list() { make -s "print-$1"; }

install_for_tests() {
  heading install
  if [ -n "$VARIANT" ]; then
    # not in a process of its own, since it says where the installation is
    use_variant "$VARIANT" "$WRAPPER" >"$WORK/install.log" 2>&1 || { cat "$WORK/install.log" && return 1; }
    say "installed $VARIANT into a copy of the server's installation"
    return 0
  fi
  quietly "installing into $("$PG_CONFIG" --pkglibdir)" install_module COPT=-Werror
}

# The drivers write beside their input, and as another user: they get a copy of the tests. A test
# without an expected file would stop them: there it is empty.
copy_tree() {
  local name folder
  mkdir -p "$WORK"/{sql,expected,tap,tmp,locks} "$WORK"/test/{tap,isolation/expected}
  cp Makefile ./*.mk ./*.control "$WORK"/
  for folder in sql expected test examples monitoring; do
    if [ -d $folder ]; then cp -R $folder "$WORK"/; fi  # git keeps no empty ones
  done
  # The documents, and the names of all files, for what they say of them.
  find . \( -name .git -o -name build \) -prune -o -type f -print >"$WORK/files"
  grep '\.md$' "$WORK/files" | tr '\n' '\0' | xargs -0 cp --parents -t "$WORK"
  if [ -d build/consistency ]; then
    mkdir -p "$WORK/programs"
    find build/consistency -maxdepth 1 -type f -perm -u+x -exec cp -t "$WORK/programs" {} +
  fi
  for name in $(list TEST_VARIANTS) ${CACHE_INVALIDATE_VARIANT:-}; do
    if [ -f "build/variants/$name/cache_invalidate.so" ]; then
      mkdir -p "$WORK/variants"
      cp "build/variants/$name/cache_invalidate.so" "$WORK/variants/$name.so"
    fi
  done
  for name in $(list REGRESS); do : >>"$WORK/expected/$name.out"; done
  for name in $(list ISOLATION); do : >>"$WORK/test/isolation/expected/$name.out"; done
  chown -R "$SERVER_USER" "$WORK"
}
installcheck() { (cd "$WORK" && as_server_user timeout "$TEST_TIMEOUT" make -s installcheck "$@"); }

# run_installcheck NAME LIST VARIABLES...: the drivers of PGXS against the server that was started
run_installcheck() {
  local name=$1 cases=$2
  shift 2
  if [ -z "$cases" ]; then
    skip "$name: no test is listed in sources.mk"
  elif ! run_cases "$name" installcheck "$@"; then
    show 300 "$WORK/regression.diffs" "$WORK/output_iso/regression.diffs"
    show 40 "$WORK/server/log"
  fi
  rm -f "$WORK/regression.diffs" "$WORK/output_iso/regression.diffs"
}

run_on_preloaded() {
  if ! postgres_start server "shared_preload_libraries = 'cache_invalidate'"; then
    fail 'server: it does not start with the library preloaded'
    return 0
  fi
  if wanted regress; then run_installcheck regress "$(list REGRESS)" ISOLATION=; fi
  if wanted isolation; then run_installcheck isolation "$(list ISOLATION)" REGRESS=; fi
  postgres_stop server || fail 'server: it does not stop'
}

run_on_unpreloaded() {
  local cases
  cases=$(list REGRESS_UNPRELOADED)
  if ! postgres_start server; then
    fail 'server: it does not start'
    return 0
  fi
  run_installcheck 'regress without preloading' "$cases" ISOLATION= REGRESS="$cases"
  postgres_stop server || fail 'server: it does not stop'
}

run_tap() {
  local file name found=no
  for file in "$WORK"/test/tap/*.pl; do
    name=$(basename "$file" .pl)
    wanted_tap "$name" || continue
    found=yes
    if ! run_cases "tap $name" prove_file "$file"; then
      show 80 "$WORK/tap/tmp_check/log/regress_log_$name" "$WORK/tap/tmp_check/log/$name"_*.log
    fi
  done
  [ $found = yes ] || skip 'tap: there is no such test'
}
# All of them with tap, or those whose names contain one of the tap=NAME.
wanted_tap() {
  local part
  for part in $WANTED; do
    if [ "$part" = tap ] || [[ $part == tap=* && $1 == *"${part#tap=}"* ]]; then return 0; fi
  done
  return 1
}
prove_file() {
  cd "$WORK/tap" && as_server_user env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE HOME="$WORK" TMPDIR="$WORK/tmp" \
    TESTDIR="$WORK/tap" TESTDATADIR="$WORK/tap/tmp_check" TESTLOGDIR="$WORK/tap/tmp_check/log" PG_TEST_PORT_DIR="$WORK/locks" PG_REGRESS="$PG_PGXS/src/test/regress/pg_regress" \
    PERL5LIB="$PG_PGXS/src/test/perl:$WORK/test/tap" PATH="$PG_BIN:$PATH" \
    timeout "$TEST_TIMEOUT" prove --verbose --nocolor "$1"
}

# For whoever wants to look at them afterwards, or to compare the expected files.
keep_logs() {
  rm -rf build/test-logs
  mkdir -p build/test-logs
  cp -R "$WORK"/results "$WORK"/output_iso build/test-logs/ 2>/dev/null || true
  cp -R "$WORK"/tap/tmp_check/log build/test-logs/tap 2>/dev/null || true
  cp "$WORK"/server/log build/test-logs/postgresql.log 2>/dev/null || true
}
