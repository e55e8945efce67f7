# shellcheck shell=bash
# What scripts/matrix and the part of it that runs as root, scripts/matrix_chroot, share: the copy of the tree.

# The names of its files, without what was built of them.
list_tree() {
  { git ls-files --cached --others --exclude-standard 2>/dev/null || find . \( -name .git -o -path ./build \) -prune -o -type f \
    ! -name '*.o' ! -name '*.bc' ! -name '*.d' ! -name '*.so' -printf '%P\n'; } |
    while IFS= read -r file; do if [ -f "$file" ]; then say "$file"; fi; done | sort
}

# copy_tree FOLDER: the files that MATRIX_DIR/files names. Objects of the last time stay; what is no longer named goes.
copy_tree() {
  mkdir -p "$1"
  if [ -f "$1.files" ]; then comm -23 "$1.files" "$MATRIX_DIR/files" | (cd "$1" && xargs -d '\n' -r rm -f); fi
  tar -cf - --no-recursion -T "$MATRIX_DIR/files" | tar -xf - -C "$1" --no-same-owner
  cp "$MATRIX_DIR/files" "$1.files"
}
