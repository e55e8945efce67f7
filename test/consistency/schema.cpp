#include "schema.hpp"

#include <stdexcept>
#include <vector>

#include "database.hpp"

namespace cache_invalidate::consistency {

namespace {

// A row's version comes from a sequence, so that none is ever given twice, rolled back or not; it is taken
// under a lock that is held until the commit, so that versions of an id rise in the order of commits. "slot"
// has that lock where a row may be missing, and the version of its absence.
const char* const kTables[] = {
    "CREATE SEQUENCE versions",
    "CREATE TABLE item (id bigint PRIMARY KEY, version bigint NOT NULL)",
    "CREATE TABLE parted (id bigint, part integer, version bigint NOT NULL, PRIMARY KEY (id, part)) "
    "PARTITION BY LIST (part)",
    "CREATE TABLE slot (id bigint PRIMARY KEY, version bigint NOT NULL DEFAULT 0)",
    "CREATE TABLE history (id bigint NOT NULL, version bigint NOT NULL, is_removal boolean NOT NULL, token "
    "bigint NOT NULL,"
    " xid xid8 NOT NULL DEFAULT pg_current_xact_id())",
};

const char* const kFunctions[] = {
    R"(CREATE FUNCTION set_item(which bigint, token bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE new_version bigint;
BEGIN
  UPDATE item SET version = nextval('versions') WHERE id = which RETURNING version INTO new_version;
  IF NOT FOUND THEN
    INSERT INTO item VALUES (which, nextval('versions')) RETURNING version INTO new_version;
  END IF;
  INSERT INTO history VALUES (which, new_version, false, token);
END $$)",
    R"(CREATE FUNCTION note_removal(which bigint, token bigint) RETURNS void LANGUAGE sql AS $$
  WITH gone AS (UPDATE slot SET version = nextval('versions') WHERE id = which RETURNING id, version)
  INSERT INTO history SELECT id, version, true, token FROM gone
$$)",
    R"(CREATE FUNCTION put_item(which bigint, token bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM slot WHERE id = which FOR UPDATE;
  PERFORM set_item(which, token);
END $$)",
    R"(CREATE FUNCTION remove_item(which bigint, token bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM slot WHERE id = which FOR UPDATE;
  DELETE FROM item WHERE id = which;
  IF FOUND THEN PERFORM note_removal(which, token); END IF;
END $$)",
    // From one of the two ids to the other, if one is there and the other is not.
    R"(CREATE FUNCTION move_item(one bigint, other bigint, token bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE origin bigint; target bigint; new_version bigint;
BEGIN
  PERFORM FROM slot WHERE id IN (one, other) ORDER BY id FOR UPDATE;
  SELECT min(id) INTO origin FROM item WHERE id IN (one, other) HAVING count(*) = 1;
  IF NOT FOUND THEN
    PERFORM set_item(one, token);
    RETURN;
  END IF;
  target := one + other - origin;
  UPDATE item SET id = target, version = nextval('versions') WHERE id = origin RETURNING version INTO new_version;
  INSERT INTO history VALUES (target, new_version, false, token);
  PERFORM note_removal(origin, token);
END $$)",
    R"(CREATE FUNCTION set_items(lowest bigint, highest bigint, token bigint) RETURNS void LANGUAGE sql AS $$
  WITH changed AS (UPDATE item SET version = nextval('versions') WHERE id BETWEEN lowest AND highest RETURNING id, version)
  INSERT INTO history SELECT id, version, false, token FROM changed
$$)",
    R"(CREATE FUNCTION put_parted(which bigint, where_to integer, token bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE new_version bigint;
BEGIN
  PERFORM FROM slot WHERE id = which FOR UPDATE;
  UPDATE parted SET part = where_to, version = nextval('versions') WHERE id = which RETURNING version INTO new_version;
  IF NOT FOUND THEN
    INSERT INTO parted VALUES (which, where_to, nextval('versions')) RETURNING version INTO new_version;
  END IF;
  INSERT INTO history VALUES (which, new_version, false, token);
END $$)",
    R"(CREATE FUNCTION remove_parted(which bigint, token bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM slot WHERE id = which FOR UPDATE;
  DELETE FROM parted WHERE id = which;
  IF FOUND THEN PERFORM note_removal(which, token); END IF;
END $$)",
    // The slots are locked first, as the other functions do; rows that came meanwhile are seen under the
    // lock.
    R"(CREATE FUNCTION clear_part(leaf regclass, token bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('SELECT FROM slot WHERE id IN (SELECT id FROM %s) ORDER BY id FOR UPDATE', leaf);
  EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', leaf);
  EXECUTE format('SELECT note_removal(id, $1) FROM %s', leaf) USING token;
  EXECUTE format('TRUNCATE %s', leaf);
END $$)",
    // What it does is rolled back as a subtransaction.
    R"(CREATE FUNCTION undo(statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN NULL;
END $$)",
};

// Token 0: committed before everything.
const char* const kRows[] = {
    "INSERT INTO item SELECT id, nextval('versions') FROM (SELECT generate_series($1::bigint, $2::bigint) id"
    " UNION ALL SELECT generate_series($3::bigint, $4::bigint)) ids",
    "INSERT INTO history SELECT id, version, false, 0 FROM item",
    "INSERT INTO slot SELECT generate_series($1::bigint, $2::bigint) UNION ALL SELECT "
    "generate_series($3::bigint, $4::bigint)",
};

std::string key_arguments(std::initializer_list<Protocol> protocols, const std::string& row) {
  std::string arguments;
  for (const Protocol protocol : protocols)
    arguments += std::string(", 'key=") + name_of(protocol) + ":" + row + "'";
  return arguments;
}

std::string trigger(const std::string& table, const std::string& server, const std::string& arguments) {
  return "CREATE TRIGGER " + server + " AFTER INSERT OR UPDATE OR DELETE ON " + table +
         " FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('server=" + server + "'" + arguments + ")";
}

// The caches' triggers are two, since their keys are; messages come from the first.
std::vector<std::string> triggers(const std::string& table, const std::string& row, bool has_second) {
  std::vector<std::string> statements;
  statements.push_back(trigger(
      table, "cache",
      key_arguments({Protocol::plain, Protocol::leased}, row) + ", 'channel=" + kChannel +
          R"(', 'payload={"op":"{$operation}","table":"{$table}","id":"{id}","version":"{version}"}', 'id={id}')"));
  if (has_second) {
    statements.push_back(
        trigger(table, "cache2", key_arguments({Protocol::second, Protocol::replica}, row) + ", 'channel='"));
  }
  return statements;
}

void must(Database& database, const std::string& statement, const std::vector<std::string>& parameters = {}) {
  if (database.run(statement.c_str(), parameters) != Database::State::done) {
    throw std::runtime_error(statement + ": " + database.message());
  }
}

}  // namespace

void prepare(const Options& options) {
  Database database([&] { return options.database; }, [] { return false; });
  if (!database.connect()) throw std::runtime_error(database.message());
  for (const char* statement : kTables) must(database, statement);
  for (int part = 0; part < kParts; ++part) {
    const std::string number = std::to_string(part);
    must(database, "CREATE TABLE parted_" + number + " PARTITION OF parted FOR VALUES IN (" + number + ")");
  }
  for (const char* statement : kFunctions) must(database, statement);
  must(database, kRows[0],
       {std::to_string(kHotFirst), std::to_string(kHotLast), std::to_string(kBulkFirst),
        std::to_string(kBulkLast)});
  must(database, kRows[1]);
  must(database, kRows[2],
       {std::to_string(kChurnFirst), std::to_string(kChurnLast), std::to_string(kPartedFirst),
        std::to_string(kPartedLast)});
  const bool has_second = !options.second_redis.empty();
  for (const std::string& statement : triggers("item", "{id}", has_second)) must(database, statement);
  for (const std::string& statement : triggers("parted", "p:{id}", has_second)) must(database, statement);
}

}  // namespace cache_invalidate::consistency
