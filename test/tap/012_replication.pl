# A subscriber of logical replication with a cache of its own: triggers that are ENABLE ALWAYS see the initial copy and
# everything that is applied, in whatever way the server applies it; triggers that are not see nothing of it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant ROWS => 200;

# Little memory for decoding: transactions of some thousand rows are streamed while they run.
my $publisher = new_node('publisher', allows_streaming => 'logical', logical_decoding_work_mem => '64kB');
my $subscriber = new_node('subscriber', allows_streaming => 'logical', max_worker_processes => 16);
$_->start for $publisher, $subscriber;
my $version  = $subscriber->safe_psql('postgres', 'SHOW server_version_num');
my $near     = CacheInvalidate::Redis->new('near');      # the publisher's
my $far      = CacheInvalidate::Redis->new('far');       # the subscriber's

sub publish { return $publisher->safe_psql('postgres', @_) }
sub there   { return $subscriber->safe_psql('postgres', @_) }

# --- Tables: "item", whose triggers always fire, "quiet", whose triggers do not, and one with partitions there

create_items($publisher, 'postgres', $near, rows => ROWS);
publish('CREATE TABLE quiet (id int PRIMARY KEY); INSERT INTO quiet SELECT generate_series(1, 10);
         CREATE TABLE part (id int PRIMARY KEY, note text); INSERT INTO part VALUES (1, 0)');
create_items($subscriber, 'postgres', $far, rows => 0, arguments => q('resource=item', 'key=item:{id}', 'key=title:{title}'));
there(q(
    CREATE TRIGGER gone AFTER TRUNCATE ON item EXECUTE FUNCTION notify_cache_invalidation('resource=item', 'key=item:{id}');
    ALTER TABLE item ENABLE ALWAYS TRIGGER cache_invalidation_item, ENABLE ALWAYS TRIGGER gone;
    CREATE TABLE quiet (id int PRIMARY KEY);
    CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON quiet FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=quiet:{id}');
    CREATE TRIGGER gone AFTER TRUNCATE ON quiet EXECUTE FUNCTION notify_cache_invalidation('key=quiet:{id}');
    CREATE TABLE part (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
    CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (MINVALUE) TO (100);
    CREATE TABLE part_high (note text, id int PRIMARY KEY);
    ALTER TABLE part ATTACH PARTITION part_high FOR VALUES FROM (100) TO (MAXVALUE);
    CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON part FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=part:{id}:{note}');
    ALTER TABLE part ENABLE ALWAYS TRIGGER cache));
wait_for_worker($subscriber, 'postgres');
my $listener = CacheInvalidate::Listener->new($subscriber, 'postgres');
$far->fill(map({ ("item:$_", "quiet:$_") } 1 .. ROWS), 'part:1:0', 'item:other');

sub is_ready { return there(q(SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's'))) eq 't' }

# What comes later is there: so is, or will never be, what came before.
my $sentinel = 0;
sub settle {
    my ($what) = @_;
    my $id = ROWS - $sentinel++;
    $far->fill("item:$id");
    publish("UPDATE item SET version = version + 1 WHERE id = $id");
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($far->wait_gone("item:$id"), "$what: what comes later is delivered");
}
sub quiet_keys { return scalar grep { /^quiet:/ } $far->keys }

# --- The initial copy

my $options = join ', ', 'copy_data = true', 'streaming = ' . ($version >= 160000 ? 'parallel' : 'on'),
  ($version >= 150000 ? 'two_phase = true' : ()), ($version >= 160000 ? 'origin = none' : ());
note("CREATE SUBSCRIPTION ... WITH ($options)");
publish('CREATE PUBLICATION tables FOR TABLE item, quiet, part');
there("CREATE SUBSCRIPTION subscription CONNECTION '${\ $publisher->connstr } dbname=postgres' PUBLICATION tables WITH ($options)");
ok(wait_until('the initial copy', \&is_ready), 'the tables are copied');
wait_until('two-phase commit is on', sub { there('SELECT subtwophasestate FROM pg_subscription') eq 'e' }) if $version >= 150000;
ok($far->wait_gone(map { "item:$_" } 1 .. ROWS), 'the keys of the copied rows are deleted');
ok($far->wait_gone('part:1:0'), 'and of those that were copied into a partition');
ok($far->has('item:other'), 'and no others');
my @heard = $listener->take_until('copied', sub { $_[0]{table} eq 'item' && $_[0]{record_id} eq ROWS });
is((grep { $_->{message}{table} eq 'item' && $_->{message}{operation} eq 'INSERT' } @heard), ROWS, 'with a message for each');

# --- Rows that are applied

$near->fill(map { "item:$_" } 1 .. ROWS);
$far->fill(map({ "item:$_" } 1 .. ROWS, 1000, 1001), 'title:title 5', 'title:new', 'title:title 7');
publish(q(INSERT INTO item VALUES (1000, 'inserted')));
publish(q(UPDATE item SET title = 'new' WHERE id = 5));
publish('UPDATE item SET id = 1001 WHERE id = 6');
publish('DELETE FROM item WHERE id = 7');
ok($far->wait_gone('item:1000'), 'INSERT');
ok($far->wait_gone('item:5', 'title:title 5', 'title:new'), 'UPDATE: the keys of the old and the new row');
ok($far->wait_gone('item:6', 'item:1001'), 'UPDATE of the primary key: both');
ok($far->wait_gone('item:7', 'title:title 7'), 'DELETE');
ok($near->wait_gone('item:5', 'item:6', 'item:7'), 'the publisher deletes in its own cache');
@heard = map { "$_->{operation} $_->{record_id}" } grep { $_->{table} eq 'item' } map { $_->{message} }
  $listener->take_until('DELETE', sub { $_[0]{record_id} eq '7' });
is_deeply([ sort @heard ], [ 'DELETE 6', 'DELETE 7', 'INSERT 1000', 'INSERT 1001', 'UPDATE 5' ], 'and messages tell the same');
$listener->quit;

publish('BEGIN; UPDATE item SET version = 2 WHERE id = 10; ROLLBACK');
publish('BEGIN; UPDATE item SET version = 2 WHERE id = 11; SAVEPOINT a; UPDATE item SET version = 2 WHERE id = 12; ROLLBACK TO a; COMMIT');
settle('rollbacks');
ok(!$far->has('item:11'), 'what the publisher committed is delivered');
ok($far->has('item:10') && $far->has('item:12'), 'what it rolled back is not');

# --- Partitions that the publisher does not have, with columns in another order

$far->fill('part:200:', 'part:200:moved', 'part:20:moved', 'part:1:0', 'part:1:2');
publish(q(INSERT INTO part VALUES (200, NULL)));
publish(q(UPDATE part SET note = 'moved' WHERE id = 200));
publish(q(UPDATE part SET id = 20 WHERE id = 200));
publish('UPDATE part SET note = 1 WHERE id = 1');
ok($far->wait_gone('part:200:moved', 'part:20:moved', 'part:1:0'), 'rows of partitions, one of which moved');
ok($far->has('part:1:2') && $far->has('part:200:'), 'and no others: a NULL makes a key not apply');

# --- A transaction that is streamed while it runs

my $streams = sub { publish(q(SELECT coalesce(sum(stream_txns), 0) FROM pg_stat_replication_slots WHERE slot_name = 'subscription')) };
publish(q(INSERT INTO item SELECT i, 'many' FROM generate_series(10001, 15000) i));
settle('many rows');
my $before = $streams->();
$far->fill(map { "item:$_" } 10001 .. 15000);
publish(q(BEGIN; UPDATE item SET version = 3 WHERE id BETWEEN 10001 AND 12000; SAVEPOINT a; UPDATE item SET version = 3 WHERE id BETWEEN 12001 AND 14000;
          ROLLBACK TO a; UPDATE item SET version = 3 WHERE id BETWEEN 14001 AND 15000; COMMIT));
publish(q(BEGIN; UPDATE item SET version = 4 WHERE id > 10000; ROLLBACK));
settle('a long transaction');
is(scalar(grep { /^item:1[0-5]\d{3}$/ } $far->keys), 2000, 'exactly the keys of its rolled-back savepoint are kept');
ok(wait_until('streamed', sub { $streams->() > $before }), 'it came as a stream');

# --- Two-phase commit, which from version 15 on is replicated as such

publish(q(BEGIN; UPDATE item SET version = 5 WHERE id = 20; PREPARE TRANSACTION 'kept'));
publish(q(BEGIN; UPDATE item SET version = 5 WHERE id = 21; PREPARE TRANSACTION 'lost'));
if ($version >= 150000) {
    ok(wait_until('prepared there', sub { there('SELECT count(*) FROM pg_prepared_xacts') == 2 }), 'prepared there as well');
}
settle('prepared');
ok($far->has('item:20') && $far->has('item:21'), 'what is only prepared is not delivered');
publish(q(COMMIT PREPARED 'kept'));
publish(q(ROLLBACK PREPARED 'lost'));
ok($far->wait_gone('item:20'), 'COMMIT PREPARED');
settle('ROLLBACK PREPARED');
ok($far->has('item:21'), 'and nothing of what was rolled back');

# --- TRUNCATE

$listener = CacheInvalidate::Listener->new($subscriber, 'postgres');
$far->fill(map { "item:$_" } 1 .. 50);
publish('TRUNCATE item');
ok($far->wait_gone(map { "item:$_" } 1 .. 50), 'TRUNCATE: everything that the template could name');
ok($far->wait_gone('item:other'), 'whatever it was');
ok($listener->take_until('TRUNCATE', sub { $_[0]{operation} eq 'TRUNCATE' && !defined $_[0]{record_id} }), 'with one message');
$listener->quit;
publish('INSERT INTO item SELECT n FROM generate_series(1, ' . ROWS . ') n');

# --- Triggers that are not ENABLE ALWAYS

publish('INSERT INTO quiet VALUES (11); UPDATE quiet SET id = 12 WHERE id = 1; DELETE FROM quiet WHERE id = 2; TRUNCATE quiet; INSERT INTO quiet VALUES (13)');
settle('a table whose triggers do not always fire');
is(there('SELECT count(*) FROM quiet'), '1', 'it was replicated');
is(quiet_keys(), ROWS, 'and nothing was delivered for it, not for its initial copy either');
there('INSERT INTO quiet VALUES (14)');
ok($far->wait_gone('quiet:14'), 'but for changes of its own');
there('ALTER TABLE quiet ENABLE ALWAYS TRIGGER cache');
publish('DELETE FROM quiet WHERE id = 13');
ok($far->wait_gone('quiet:13'), 'ENABLE ALWAYS counts from then on');
is(quiet_keys(), ROWS - 2, 'and nothing else is gone');

there('DROP SUBSCRIPTION subscription');
$_->stop for $subscriber, $publisher;
done_testing();
