# shellcheck shell=bash
# Counts test cases over all groups. Source lib.sh first and call make_work_dir.

passed=0 failed=0 skipped=0
failures=() skips=()

heading() { printf '\n=== %s\n' "$*"; }
pass() {
  passed=$((passed + 1))
  say "ok      $1"
}
fail() {
  failed=$((failed + 1))
  failures+=("$1")
  say "FAILED  $1"
}
skip() {
  skipped=$((skipped + 1))
  skips+=("$1")
  say "skipped $1"
}

# The cases of GoogleTest, of pg_regress (before and since 16) and isolationtester, and of TAP.
PASSED_CASE='^\[       OK \] |^(test|  ).* \.\.\. ok |^ok [0-9]+'
FAILED_CASE='^\[  FAILED  \] .* \([0-9]+ ms\)$|^(test|  ).* \.\.\. FAILED|^not ok [0-9]+'
SKIPPED_CASE='^\[  SKIPPED \] .* \([0-9]+ ms\)$|^(not )?ok [0-9]+.*# (skip|TODO)|^[^ ]+ \.+ skipped: '

# What a failed case of TAP says of it, all in one line of the summary: often that is all there is left to look at.
REASON='^# +[^ ]'
MOST_REASONS=12

# Runs a command that reports cases, shows what it says, and counts them. What ends badly without a
# failed case, or runs no case at all, is one failure: run_cases NAME COMMAND...
run_cases() {
  local name=$1 log=$WORK/cases.log status=0 before=$((passed + failed + skipped)) bad=0 line reasons=0
  shift
  heading "$name"
  {
    "$@" 2>&1
    echo $? >"$WORK/status"
  } | tee "$log" | grep --line-buffered -vE '^\[ RUN |^\[-----' || true
  status=$(cat "$WORK/status")
  while IFS= read -r line; do
    if [[ $line =~ $SKIPPED_CASE ]]; then
      skipped=$((skipped + 1))
      skips+=("$name: $line")
    elif [[ $line =~ $FAILED_CASE ]]; then
      failed=$((failed + 1))
      bad=$((bad + 1))
      failures+=("$name: $line")
      reasons=$MOST_REASONS
    elif [[ $line =~ $PASSED_CASE ]]; then
      passed=$((passed + 1))
      reasons=0
    elif [ "$reasons" -gt 0 ] && [[ $line =~ $REASON ]]; then
      failures[-1]+=" ${line:0:300}"
      reasons=$((reasons - 1))
    fi
  done <"$log"
  if grep -q '^\[==========\] Running' "$log" && ! grep -q '^\[==========\] .* ran\.' "$log"; then
    fail "$name: ended before its last case"
  elif [ "$status" -eq 124 ]; then
    fail "$name: took too long"
  elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
    fail "$name: ended with status $status"
  elif [ "$before" -eq $((passed + failed + skipped)) ]; then
    fail "$name: no case was run"
  fi
  [ "$status" -eq 0 ]
}

# Shows the end of each of the files that exist: show LINES FILE...
show() {
  local lines=$1 file
  shift
  for file in "$@"; do
    if [ -s "$file" ]; then
      printf '\n--- %s\n' "${file#"$WORK"/}"
      tail -n "$lines" "$file"
    fi
  done
}

# The last words, and the status to exit with.
summary() {
  heading summary
  if [ "$skipped" -gt 0 ]; then printf 'skipped  %s\n' "${skips[@]}"; fi
  if [ "$failed" -gt 0 ]; then printf 'FAILED   %s\n' "${failures[@]}"; fi
  local line="$passed passed, $failed failed"
  if [ "$skipped" -gt 0 ]; then line+=", $skipped skipped"; fi
  say "$line"
  [ "$failed" -eq 0 ]
}
