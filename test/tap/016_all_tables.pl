# A publication of all tables, with the extension on both sides: the publisher's journal is nothing to the subscriber, not
# even when it is ahead in everything and names a server by the same number. What the subscriber has to deliver after a
# crash is told by its own.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $near = CacheInvalidate::Redis->new('near');
my $far  = CacheInvalidate::Redis->new('far', config => [ 'appendonly yes', 'appendfsync always' ]);
my ($publisher, $subscriber) = map { new_node($_, allows_streaming => 'logical', max_worker_processes => 16) } qw(publisher subscriber);
for my $node ($publisher, $subscriber) {
    $node->start;
    create_items($node, 'postgres', $node == $publisher ? $near : $far, rows => $node == $publisher ? 5 : 0);
    wait_for_worker($node, 'postgres');
}
sub publish { return $publisher->safe_psql('postgres', @_) }
sub there   { return $subscriber->safe_psql('postgres', @_) }

my $oid = 'SELECT oid FROM pg_foreign_server';
is(there($oid), publish($oid), 'both sides call their server by the same number');

# --- The subscriber owes something to its cache, so that the segment of its journal where that stands is kept

$far->fill(map { "item:$_" } 100 .. 110);
$far->kill9;
# In one transaction, and so in one segment.
there('INSERT INTO item SELECT generate_series(100, 110)');
my $segments = 'SELECT 0 AS segment, batch FROM cache_invalidation_journal_0 UNION ALL SELECT 1, batch FROM cache_invalidation_journal_1';
my $segment  = there("SELECT DISTINCT segment FROM ($segments) s WHERE get_byte(batch, 0) = 1");
my $xid      = there('SELECT pg_current_xact_id()');

# --- The publisher goes on until its transaction ids are far ahead, and it has just begun to write to the segment of that
# number, with checkpoints

my $checkpoint = "SELECT segment FROM ($segments) s WHERE get_byte(batch, 0) = 2 ORDER BY get_byte(batch, 1) DESC LIMIT 1";
my $previous = '';
ok(wait_until(
        'the publisher is ahead',
        sub {
            publish('DO $$ BEGIN FOR i IN 1 .. 100 LOOP UPDATE item SET version = i WHERE id = 1; COMMIT; END LOOP; END $$');
            (my $before, $previous) = ($previous, publish($checkpoint));
            return publish("SELECT pg_current_xact_id()::text::bigint > $xid + 1000") eq 't' && $previous eq $segment && $before ne '' && $before ne $segment;
        }), 'the publisher is ahead');

# --- All of it is copied

publish('CREATE PUBLICATION everything FOR ALL TABLES');
there("CREATE SUBSCRIPTION everything CONNECTION '${\ $publisher->connstr } dbname=postgres' PUBLICATION everything");
ok(wait_until('the initial copy', sub { there(q(SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's'))) eq 't' }), 'all tables are copied');
publish('INSERT INTO item VALUES (6)');
$publisher->wait_for_catchup('everything');
is(there('SELECT count(*) FROM item WHERE id < 100'), '6', 'and replicated');
$subscriber->stop('immediate');
$far->start;
is($far->command('EXISTS', map { "item:$_" } 100 .. 110), 11, 'the subscriber crashes before it could deliver');
$subscriber->start;
ok($far->wait_gone(map { "item:$_" } 100 .. 110), 'and delivers afterwards');

$_->stop for $subscriber, $publisher;
done_testing();
