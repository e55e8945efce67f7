# shellcheck shell=bash disable=SC2034
# A copy of the server's installation inside WORK with another build of the module, so that nothing of the machine's own is touched: its
# programs find their folders relative to where they are. Source lib.sh first and call find_pg_config and make_work_dir.

# use_variant NAME [WRAPPER]: installs build/variants/NAME there, and makes PG_CONFIG and PG_BIN name it. WRAPPER is a file with a program
# that stands for postgres and runs @POSTGRES@; the server finds its folders by its argument 0.
use_variant() {
  local root=$WORK/installation libraries share headers place file
  libraries=$("$PG_CONFIG" --pkglibdir)
  share=$("$PG_CONFIG" --sharedir)
  headers=$("$PG_CONFIG" --includedir-server)
  mkdir -p "$root$PG_BIN" "$root$libraries" "$root$share/extension" "$root${headers%/*}"
  ln -s "$headers" "$root$headers"
  cp -L "$PG_BIN"/* "$root$PG_BIN/"
  # The bitcode is for the JIT, and that of the module is of another build.
  for place in "$libraries" "$share" "$share/extension"; do
    for file in "$place"/*; do
      case ${file##*/} in
        cache_invalidate* | bitcode) ;;
        extension) [ "$place" = "$share" ] || ln -s "$file" "$root$file" ;;
        *) ln -s "$file" "$root$file" ;;
      esac
    done
  done
  if [ -n "${2:-}" ]; then
    mv "$root$PG_BIN/postgres" "$root$PG_BIN/postgres.real"
    sed "s|@POSTGRES@|$root$PG_BIN/postgres.real|" "$2" >"$root$PG_BIN/postgres"
    chmod 755 "$root$PG_BIN/postgres"
  fi
  PG_CONFIG=$root$PG_BIN/pg_config
  PG_BIN=$root$PG_BIN
  make -C "build/variants/$1" install PG_CONFIG="$PG_CONFIG" with_llvm=no
}
