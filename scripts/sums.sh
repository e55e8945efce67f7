# shellcheck shell=bash
# Runs other programs that end with "N passed, N failed[, N skipped]", and adds up what they say. Source report.sh first.

# run_counted NAME LOG PREFIX COMMAND...: shows what the command says behind the prefix, keeps it in the file, and adds its
# counts to ours. What ends without a count is one failure. The command runs in this shell, and can be stopped by its traps.
run_counted() {
  local name=$1 log=$2 prefix=$3 status=0 shown out line
  shift 3
  exec {out}> >(tee "$log" | sed -u "s|^|$prefix|")
  shown=$!
  "$@" >&"$out" 2>&1 {out}>&- || status=$?
  exec {out}>&-
  wait "$shown" || true
  # make has the last word when its recipe failed
  counted=$(grep -v '^make\(\[[0-9]*\]\)\?: ' "$log" | tail -n 1)
  if ! [[ $counted =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    counted='no count'
    fail "$name: ended without a count, with status $status"
    return 0
  fi
  passed=$((passed + BASH_REMATCH[1]))
  failed=$((failed + BASH_REMATCH[2]))
  skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
  if [ "$status" -ne 0 ] && [ "${BASH_REMATCH[2]}" -eq 0 ]; then fail "$name: ended with status $status"; fi
  while IFS= read -r line; do failures+=("$name: $line"); done < <(sed -n 's/^FAILED   //p' "$log")
  while IFS= read -r line; do skips+=("$name: $line"); done < <(sed -n 's/^skipped  //p' "$log")
}
