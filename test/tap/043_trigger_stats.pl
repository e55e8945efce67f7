# What each trigger is said to have seen and given: exact after commits, rollbacks, savepoints and whatever else a
# transaction goes through; kept when the worker is not; cleared when that is asked for.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Relay;
use CacheInvalidate::Wait;

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
$node->safe_psql('postgres', 'CREATE EXTENSION cache_invalidate');
$node->safe_psql('postgres', "CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis->url }')");
my $first_worker = wait_for_worker($node, 'postgres');
# Now there is where triggers count.
ok(wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' }), 'the worker is there');

sub sql { return $node->safe_psql('postgres', join ";\n", @_) }

sub trigger_on {
    my ($table, $arguments, $name) = @_;
    $name //= 'cache';
    return "CREATE TRIGGER $name AFTER INSERT OR UPDATE OR DELETE ON $table FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation($arguments)";
}

# What the statements, each a string of its own transaction or a list in one, added to a trigger's counts.
my %before;

sub counts {
    my ($table, $name) = @_;
    $name //= 'cache';
    my ($changes, $items, $widened) = split /\|/,
      sql("SELECT changes, items, widened FROM cache_invalidation_triggers WHERE table_name = '$table' AND trigger_name = '$name'"), -1;
    my $seen = $before{"$table $name"} // [ 0, 0, 0 ];
    my @more = map { (($changes, $items, $widened)[$_]) - $seen->[$_] } 0 .. 2;
    $before{"$table $name"} = [ $changes, $items, $widened ];
    return "changes $more[0], items $more[1], widened $more[2]";
}

sub adds {
    my ($what, $expected, @statements) = @_;
    sql(@statements);
    is(counts('item'), $expected, $what);
    return;
}

sql('CREATE TABLE item (id int PRIMARY KEY, project int, title text)', trigger_on('item', q('key=item:{id}', 'key=list:{project}')));
is(sql(q(SELECT changes, items, widened, last_fired IS NULL FROM cache_invalidation_triggers)), '0|0|0|t', 'nothing has fired yet');

# Each statement of its own commits by itself: a key, a list, and a message for each row.
my $from = sql('SELECT clock_timestamp()');
adds('one row', 'changes 1, items 3, widened 0', 'INSERT INTO item VALUES (1, 1)');
is(sql(qq(SELECT last_fired BETWEEN '$from' AND clock_timestamp() FROM cache_invalidation_triggers)), 't', 'it says when it was');
adds('what folds', 'changes 100, items 201, widened 0', 'INSERT INTO item SELECT n, 7 FROM generate_series(11, 110) n');
adds('one row often', 'changes 3, items 3, widened 0',
    'BEGIN', map({ "UPDATE item SET title = '$_' WHERE id = 1" } 1 .. 3), 'COMMIT');
adds('rows that were not changed', 'changes 2, items 0, widened 0', 'UPDATE item SET title = title WHERE id IN (11, 12)');
adds('what was rolled back', 'changes 0, items 0, widened 0', 'BEGIN', 'UPDATE item SET title = NULL', 'ROLLBACK');
my $fired = sql('SELECT last_fired FROM cache_invalidation_triggers');
$node->psql('postgres', 'BEGIN; DELETE FROM item; SELECT 1/0; COMMIT');
is(counts('item'), 'changes 0, items 0, widened 0', 'what failed');
is(sql('SELECT last_fired FROM cache_invalidation_triggers'), $fired, 'and it did not fire then');
adds('savepoints', 'changes 4, items 9, widened 0',
    'BEGIN',
    q(UPDATE item SET title = 's1' WHERE id = 11),
    'SAVEPOINT a',
    q(UPDATE item SET title = 's2' WHERE id IN (12, 13)),
    'SAVEPOINT b',
    q(UPDATE item SET title = 's3' WHERE id IN (14, 15, 16)),
    'ROLLBACK TO b',
    'RELEASE a',
    'SAVEPOINT c',
    q(UPDATE item SET title = 's4' WHERE id = 17),
    'RELEASE c',
    'SAVEPOINT d',
    q(UPDATE item SET title = 's5'),
    'ROLLBACK TO d',
    'COMMIT');
adds('many savepoints', 'changes 500, items 51, widened 0',
    q(DO $$ BEGIN
        FOR i IN 1 .. 1000 LOOP
          BEGIN
            UPDATE item SET title = 'loop ' || i WHERE id = 11 + i % 50;
            IF i % 2 = 0 THEN RAISE 'no'; END IF;
          EXCEPTION WHEN raise_exception THEN NULL;
          END;
        END LOOP; END $$));
adds('a transaction in parts', 'changes 5000, items 15000, widened 0',
    q(SET cache_invalidate.max_change_set_memory = '64kB'), 'INSERT INTO item SELECT n, n FROM generate_series(10001, 15000) n');
adds('more than the limit', 'changes 5000, items 3, widened 1',
    'SET cache_invalidate.max_items_per_transaction = 100', 'DELETE FROM item WHERE id > 10000');
adds('TRUNCATE', 'changes 1, items 3, widened 1', 'TRUNCATE item');
sql('INSERT INTO item SELECT n, 1 FROM generate_series(1, 10) n');
counts('item');
adds('a rule that is compiled anew meanwhile', 'changes 2, items 5, widened 0',
    'BEGIN', q(UPDATE item SET title = 'a' WHERE id = 1), 'ALTER TABLE item ADD COLUMN more int', q(UPDATE item SET title = 'b' WHERE id = 2), 'COMMIT');
adds('and then rolled back', 'changes 1, items 3, widened 0',
    'BEGIN', q(UPDATE item SET title = 'c' WHERE id = 1), 'SAVEPOINT a', 'ALTER TABLE item ADD COLUMN even_more int',
    q(UPDATE item SET title = 'd' WHERE id = 2), 'ROLLBACK TO a', 'COMMIT');
adds('capture that is switched off', 'changes 0, items 0, widened 0', 'SET cache_invalidate.enabled = off', q(UPDATE item SET title = 'unseen'));
adds('a prepared transaction, when it is prepared', 'changes 1, items 3, widened 0',
    'BEGIN', q(UPDATE item SET title = 'e' WHERE id = 3), q(PREPARE TRANSACTION 'p'));
adds('and not again', 'changes 0, items 0, widened 0', q(COMMIT PREPARED 'p'));

# Partitions count for their root, also through levels of them; a second trigger for itself.
sql('CREATE TABLE event (id int, kind int) PARTITION BY LIST (id)',
    'CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1)',
    'CREATE TABLE event_2 PARTITION OF event FOR VALUES IN (2, 3) PARTITION BY LIST (id)',
    'CREATE TABLE event_2_2 PARTITION OF event_2 FOR VALUES IN (2)',
    'CREATE TABLE event_2_3 PARTITION OF event_2 FOR VALUES IN (3)',
    trigger_on('event', q('key=event:{id}', 'id={id}')),
    trigger_on('event', q('key=kind:{kind}', 'channel='), 'kinds'));
sql('INSERT INTO event VALUES (1, 5), (2, 5), (3, 5), (3, 6)');
is(counts('event'), 'changes 4, items 6, widened 0', 'partitions count for their root');
is(counts('event', 'kinds'), 'changes 4, items 2, widened 0', 'for each of its triggers');
sql('TRUNCATE event');
like(counts('event'), qr/^changes 3, items 2, /, 'a TRUNCATE is one of each partition, and folds');
is(sql(q(SELECT count(*) FROM cache_invalidation_triggers WHERE table_name LIKE 'event%')), 2, 'a row for each trigger, not for each partition');

# A value that cannot be told.
sql('CREATE TABLE broken (id int PRIMARY KEY, a int)',
    'ALTER EVENT TRIGGER cache_invalidate_check_trigger DISABLE',
    trigger_on('broken', q('key=a:{gone}:{id}', 'channel=')),
    'ALTER EVENT TRIGGER cache_invalidate_check_trigger ENABLE');
sql('INSERT INTO broken VALUES (1, 1), (2, 2)');
is(counts('broken'), 'changes 2, items 2, widened 1', 'a column that is gone widens');
ok($node->poll_query_until('postgres', q(SELECT recent_errors = 1 AND last_error LIKE '%gone%' FROM get_cache_trigger_health() WHERE table_name = 'broken')),
    'and its error counts for that trigger');
is(sql('SELECT sum(recent_errors) FROM get_cache_trigger_health()'), 1, 'and for no other');
# An error of a partition's trigger is its root's.
sql('ALTER EVENT TRIGGER cache_invalidate_check_trigger DISABLE', trigger_on('event', q('key=e:{gone}'), 'wrong'),
    'ALTER EVENT TRIGGER cache_invalidate_check_trigger ENABLE', 'INSERT INTO event VALUES (3, 1)');
ok($node->poll_query_until('postgres', q(SELECT recent_errors = 1 FROM get_cache_trigger_health() WHERE trigger_name = 'wrong')), 'of a partition too');
sql('DROP TRIGGER wrong ON event');

# The database's counts are the sums.
my $sums = sql('SELECT sum(changes), sum(items) FROM cache_invalidation_triggers');
my ($changes, $items) = split /\|/, $sums;
my ($all_changes, $all_items) = split /\|/, sql('SELECT changes, items FROM cache_invalidation_stats');
is($all_changes - $changes, 1, 'the changes of all triggers, and of one that is gone');
cmp_ok($all_items, '>=', $items, 'the items likewise');
is(sql('SELECT round(folding_ratio::numeric, 6) = round(changes::numeric / items, 6) FROM cache_invalidation_stats'), 't', 'and their ratio');
is(sql(q(SELECT folding_ratio FROM cache_invalidation_triggers WHERE trigger_name = 'kinds')) > 1, 1, 'each trigger has its own');

# Resets count when they have committed.
sql('BEGIN', 'SELECT reset_cache()', 'ROLLBACK');
is(stat_of($node, 'postgres', 'resets'), 0, 'a reset that was rolled back is none');
sql(q(SELECT reset_cache('test')));
is(stat_of($node, 'postgres', 'resets'), 1, 'a reset counts');

# What was sent and not answered is sent again.
ok($node->poll_query_until('postgres', 'SELECT keys_pending + patterns_pending = 0 FROM cache_invalidation_targets'), 'everything is delivered');
is(target($node, 'postgres', 'retried'), 0, 'nothing was sent twice');
cmp_ok(stat_of($node, 'postgres', 'commands'), '>', 0, 'commands were sent');
is(sql('SELECT s.commands = t.commands AND s.bytes_sent = t.bytes_sent AND s.widened = t.widened FROM cache_invalidation_stats s, cache_invalidation_targets t'),
    't', 'the sums are those of the only server');
# Its first connection is hung up instead of the first answer to a delete.
my $relay = CacheInvalidate::Relay->new($redis, 'cut', 0);
sql("CREATE SERVER flaky FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $relay->url }')");
wait_until('flaky is up', sub { target($node, 'postgres', 'state', 'flaky') eq 'up' });
sql(q(UPDATE item SET title = 'twice' WHERE id = 1));
ok($node->poll_query_until('postgres', q(SELECT retried > 0 AND keys_pending = 0 FROM cache_invalidation_targets WHERE server = 'flaky')),
    'a lost connection makes it send again');
is(sql('SELECT retries = (SELECT sum(retried) FROM cache_invalidation_targets) FROM cache_invalidation_stats'), 't', 'which shows in both views');
sql('DROP SERVER flaky');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM cache_invalidation_targets'), 'that server is gone');

# The counts outlive the worker.
my $kept = sql('SELECT table_name, trigger_name, changes, items, widened, last_fired FROM cache_invalidation_triggers ORDER BY 1, 2');
my $connections = target($node, 'postgres', 'connections');
sql("SELECT pg_terminate_backend($first_worker)");
wait_for_worker($node, 'postgres', $first_worker);
# It has read what the journal holds, and connected.
ok($node->poll_query_until('postgres', qq(SELECT state = 'up' AND connections > $connections AND NOT reads_journal AND keys_pending + patterns_pending = 0 FROM cache_invalidation_targets)),
    'another one took over');
is(sql('SELECT table_name, trigger_name, changes, items, widened, last_fired FROM cache_invalidation_triggers ORDER BY 1, 2'),
    $kept, 'the counts outlive the worker');

# Cleared: by the worker, and where there is none.
my $since = stat_of($node, 'postgres', 'since');
sql('SELECT reset_cache_invalidation_stats()');
is(sql('SELECT DISTINCT changes, items, widened, last_fired IS NULL FROM cache_invalidation_triggers'), '0|0|0|t', 'the triggers begin anew');
is(sql(q(SELECT changes, items, folding_ratio IS NULL, commands, bytes_sent, retries, widened, resets, batches, keys, messages, delete_p50_ms IS NULL,
                notify_max_ms IS NULL FROM cache_invalidation_stats)), '0|0|t|0|0|0|0|0|0|0|0|t|t', 'the database too');
is(sql('SELECT keys_deleted, commands, retried, latency_max_ms IS NULL, state FROM cache_invalidation_targets'), '0|0|0|t|up', 'and the server, which stays up');
is(sql("SELECT since > '$since' FROM cache_invalidation_stats"), 't', 'and it says since when');
%before = ();
adds('after that it counts again', 'changes 1, items 3, widened 0', q(UPDATE item SET title = 'again' WHERE id = 1));
# In one session, whose rules know places of before.
sql(q(UPDATE item SET title = 'a' WHERE id = 1), q(UPDATE event SET kind = 0), 'SELECT reset_cache_invalidation_stats()',
    q(UPDATE item SET title = 'b' WHERE id = 1));
%before = ();
is(counts('item'), 'changes 1, items 3, widened 0', 'also in the session that cleared them');

# More triggers than there are places: what is beyond is not counted, and says so.
sql(q(DO $$ BEGIN
        FOR i IN 1 .. 1040 LOOP
          EXECUTE format('CREATE TABLE many_%s (id int PRIMARY KEY)', i);
          EXECUTE format($q$CREATE TRIGGER cache AFTER INSERT ON many_%s FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=m:{id}', 'channel=')$q$, i);
        END LOOP; END $$));
sql('SELECT reset_cache_invalidation_stats()');
sql(q(DO $$ BEGIN
        FOR i IN 1 .. 1040 LOOP EXECUTE format('INSERT INTO many_%s VALUES (%s)', i, i); END LOOP; END $$));
is(sql(q(SELECT count(*), count(changes), sum(changes), sum(items) FROM cache_invalidation_triggers WHERE table_name LIKE 'many%')),
    '1040|1024|1024|1024', 'of the first 1024 triggers each is counted once');
is(sql('SELECT changes, items FROM cache_invalidation_stats'), '1040|1040', 'of the database all are');
is(sql(q(SELECT changes IS NULL AND last_fired IS NULL FROM cache_invalidation_triggers WHERE table_name = 'item')), 't', 'any other is not known');
is($node->psql('postgres', 'INSERT INTO many_1 VALUES (5000); INSERT INTO many_1040 VALUES (5000)'), 0, 'which harms nobody');
sql('SELECT reset_cache_invalidation_stats()', q(UPDATE item SET title = 'c' WHERE id = 1));
is(sql(q(SELECT changes FROM cache_invalidation_triggers WHERE table_name = 'item')), 1, 'until they are cleared');

# The views wait for nobody: neither for the table, nor for one that a path leads to.
sql('CREATE TABLE owner (id int PRIMARY KEY, name text)', 'CREATE TABLE owned (id int PRIMARY KEY, owner int REFERENCES owner)',
    trigger_on('owned', q('key=o:{owner.name}')),
    q(CREATE TRIGGER sometimes AFTER UPDATE ON owned FOR EACH ROW WHEN (OLD.id > 7) EXECUTE FUNCTION notify_cache_invalidation()));
for my $locked (qw(owned owner)) {
    my $session = $node->background_psql('postgres');
    $session->query_safe("BEGIN; LOCK TABLE $locked IN ACCESS EXCLUSIVE MODE");
    is(sql(q(SET statement_timeout = '60s'), q(SELECT bool_and(problem IS NULL) FROM cache_invalidation_triggers WHERE table_name = 'owned')), 't',
        "it does not wait for the lock of $locked");
    is(sql(q(SET statement_timeout = '60s'), q(SELECT count(*) FROM get_cache_trigger_health() WHERE table_name = 'owned')), 2, 'nor does health');
    is(sql(q(SELECT count(definition) FROM get_cache_trigger_health() WHERE table_name = 'owned')), $locked eq 'owned' ? 0 : 2, 'which leaves out what it cannot see');
    $session->query_safe('ROLLBACK');
    $session->quit;
}

# No channel: a setting of the server.
sql('CREATE TABLE silent (id int PRIMARY KEY)', trigger_on('silent', ''));
configure($node, 'cache_invalidate.notify_channel' => '');
$node->reload;
ok($node->poll_query_until('postgres', q(SELECT problem LIKE 'it sends nothing%' FROM cache_invalidation_triggers WHERE table_name = 'silent')),
    'a trigger without keys needs a channel');
sql(q(ALTER SERVER cache OPTIONS (ADD publish_channel 'changes')));
is(sql(q(SELECT problem IS NULL FROM cache_invalidation_triggers WHERE table_name = 'silent')), 't', 'or one of a server');

$node->stop;
done_testing();
