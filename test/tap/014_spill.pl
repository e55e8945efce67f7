# A transaction that changes more than it keeps in memory, so that it is written to the journal in parts: listeners
# hear of each record once, its net effect, at the time at which the transaction began to commit.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# Each message once: none is told before its keys are deleted.
my $node = new_node('main', max_wal_size => '4GB', 'cache_invalidate.signal_timeout' => '1min');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, arguments => q('resource=item', 'key=item:{id}', 'fields=title'));
# Its changes say nothing to listeners.
$node->safe_psql('postgres', q(
    CREATE TABLE quiet (id int PRIMARY KEY);
    CREATE TRIGGER quiet AFTER INSERT OR UPDATE OR DELETE ON quiet FOR EACH ROW
      EXECUTE FUNCTION notify_cache_invalidation('key=quiet:{id}', 'channel=')));
# Rows of the journal that this transaction has written in parts: they begin with 3.
$node->safe_psql('postgres', q(
    CREATE FUNCTION part_rows() RETURNS bigint LANGUAGE sql AS $$
      SELECT count(*) FROM (SELECT xmin, batch FROM cache_invalidation_journal_0
                            UNION ALL SELECT xmin, batch FROM cache_invalidation_journal_1) j
       WHERE get_byte(batch, 0) = 3 AND xmin = pg_current_xact_id()::xid $$));
wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');
my $sentinels = 0;

# Runs the statements in one transaction that keeps little in memory. Of what is heard of it: "OPERATION id title"
# in the order of ids, since all messages of a transaction come at once.
sub heard_of {
    my ($what, @statements) = @_;
    my $session = $node->background_psql('postgres');
    $session->query_safe("SET cache_invalidate.max_change_set_memory = '64kB'");
    # Nothing is widened.
    $session->query_safe("SELECT set_config(name, max_val, false) FROM pg_settings WHERE name = 'cache_invalidate.max_items_per_transaction'");
    $session->query_safe('BEGIN');
    $session->query_safe($_) for @statements;
    cmp_ok($session->query_safe('SELECT part_rows()'), '>', 0, "$what is written in parts");
    my $from = $session->query_safe('SELECT extract(epoch FROM clock_timestamp())');
    $session->query_safe('COMMIT');
    $session->quit;
    my $sentinel = 'sentinel ' . ++$sentinels;
    $node->safe_psql('postgres', "UPDATE item SET title = '$sentinel' WHERE id = 10");
    my @all = $listener->take_until($what, sub { ($_[0]{title} // '') eq $sentinel });
    pop @all;
    my @messages = map { $_->{message} } @all;
    # From the text: a number of so many digits is rounded when it is printed.
    my %times = map { $_->{text} =~ /"timestamp":([\d.]+)/ => 1 } @all;
    is(keys %times, 1, "$what: its messages have one time");
    cmp_ok((keys %times)[0], '>=', $from, "$what: which is not before it began to commit");
    return [ map { "$_->{operation} $_->{record_id} $_->{title}" } sort { $a->{record_id} <=> $b->{record_id} } @messages ];
}

# What is far from its counterpart lies in another part.
my $heard = heard_of(
    'a large transaction',
    q(DELETE FROM item WHERE id IN (1, 3)),
    q(UPDATE item SET title = 'early' WHERE id IN (2, 4)),
    q(UPDATE item SET id = 7007 WHERE id = 7),
    q(INSERT INTO item SELECT n, 'new' FROM generate_series(1001, 6000) n),
    q(DELETE FROM item WHERE id BETWEEN 1001 AND 6000 AND id % 2 = 0),
    q(SAVEPOINT s),
    q(UPDATE item SET title = 'undone'),
    q(INSERT INTO item SELECT n, 'undone' FROM generate_series(10001, 13000) n),
    q(ROLLBACK TO s),
    q(UPDATE item SET title = 'late' WHERE id BETWEEN 1001 AND 3000 OR id = 2),
    q(INSERT INTO item VALUES (3, 'back')),
    q(DELETE FROM item WHERE id = 4),
    q(UPDATE item SET id = 7 WHERE id = 7007));
my @expected = ('DELETE 1 title 1', 'UPDATE 2 late', 'UPDATE 3 back', 'DELETE 4 early', 'UPDATE 7 title 7');
push @expected, map { "INSERT $_ " . ($_ <= 3000 ? 'late' : 'new') } grep { $_ % 2 } 1001 .. 6000;
is(scalar @$heard, @expected, 'of each record that has changed there is one message');
is_deeply($heard, \@expected, 'the net effect, with the newest fields');

# A scan passes over pages that were not written to since a moment that is not long ago now.
for my $time (1 .. 2) {
    $node->safe_psql('postgres', "UPDATE item SET title = 'time $time' WHERE id = 10");
    ok(wait_until('noted', sub { is_noted($node, 'postgres') }), 'what was delivered is noted');
}
$listener->take_until('the last of them', sub { ($_[0]{title} // '') eq 'time 2' });

# When all that it changed is written already as it begins to commit.
$heard = heard_of(
    'a transaction that has nothing left to write',
    q(INSERT INTO item SELECT n, 'few' FROM generate_series(20001, 20003) n),
    q(DO $$ DECLARE number integer := 0; BEGIN
        WHILE part_rows() = 0 LOOP
          number := number + 1;
          INSERT INTO quiet VALUES (number);
        END LOOP;
      END $$));
is_deeply($heard, [ map { "INSERT $_ few" } 20001 .. 20003 ], 'its messages are those of its first part');

# More messages than the worker lets wait during a scan, but not when they are folded as they come.
$heard = heard_of(
    'a very large transaction',
    q(DO $$ BEGIN
        FOR round IN 1 .. 4 LOOP
          INSERT INTO item SELECT n, 'round ' || round FROM generate_series(100001, 130000) n;
          DELETE FROM item WHERE id > (CASE round WHEN 4 THEN 100100 ELSE 100000 END);
        END LOOP;
      END $$));
is(scalar @$heard, 100, 'what came and went is not spoken of');
is_deeply($heard, [ map { "INSERT $_ round 4" } 100001 .. 100100 ], 'what was left is');

$listener->quit;
unlike(slurp_file($node->logfile), qr/damaged row|PANIC|was terminated by signal/, 'nothing in the journal was damaged');
$node->stop;
done_testing();
