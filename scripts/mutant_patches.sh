# shellcheck shell=bash
# The patches of test/mutants. The first line says which promise goes without the safeguard, a line "Caught by: PART" which part of
# scripts/test has to notice; the patch follows.

# Those of one part one after the other.
list_patches() { grep -H '^Caught by: ' test/mutants/*.patch | sort -t: -k3,3 -k1,1 | cut -d: -f1; }
caught_by() { sed -n 's/^Caught by: //p' "$1"; }
# apply_to FOLDER PATCH [OPTIONS OF PATCH...]: changes the files there
apply_to() {
  local folder=$1 file=$2
  shift 2
  patch -d "$folder" -p1 --batch --forward --no-backup-if-mismatch --fuzz=1 "$@" <"$file"
}
