# A Redis that forgot what it was told is told again from the journal, although large transactions make the worker read the journal for
# everybody all the time: the two take turns.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { OLD => 1_000_000, LARGE => 3000, CLIENTS => 2, ROUNDS => 2 };

my $node = new_node('main', 'cache_invalidate.replay_window' => '1h', 'cache_invalidate.ring_size' => '64kB', 'cache_invalidate.max_items_per_transaction' => 2000000);
$node->start;
my ($cache, $other) = map { CacheInvalidate::Redis->new($_) } qw(cache other);
sub sql { return $node->safe_psql('postgres', @_) }

create_items($node, 'postgres', $cache, rows => 10);
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $other->url }')");
sql('CREATE TABLE big (id int PRIMARY KEY, client int, version int NOT NULL DEFAULT 0);
     INSERT INTO big SELECT n, n % ' . CLIENTS . ' FROM generate_series(1, ' . CLIENTS * LARGE . ') n');
my $worker = wait_for_worker($node, 'postgres');

# What lies in the journal; the last of it is read last.
sql('CREATE TABLE old (id int PRIMARY KEY)');
sql(q(CREATE TRIGGER old_keys AFTER INSERT ON old FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=old:{id}')));
sql('INSERT INTO old SELECT generate_series(1, ' . OLD . ')');
sql('UPDATE item SET version = 1 WHERE id = 1');
$_->wait_gone('item:1') for $cache, $other;
ok(wait_until('all', sub { target($node, 'postgres', 'keys_pending', 'other') == 0 }, 120), 'all of it is deleted');

# Transactions that the ring has no room for, always one of them under way.
sql(q(CREATE TRIGGER big_keys AFTER UPDATE ON big FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=big:{id}')));
my $script = PostgreSQL::Test::Utils::tempdir() . '/large.sql';
append_to_file($script, "UPDATE big SET version = version + 1 WHERE client = :client_id;\n");
my $said = '';
my $load = IPC::Run::start([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', CLIENTS, '-T', 600, '-f', $script, 'postgres' ],
    '<', \undef, '>&', \$said, IPC::Run::timeout(700));
sub scans { return stat_of($node, 'postgres', 'journal_scans') }

for my $round (1 .. ROUNDS) {
    my $before = scans();
    ok(wait_until('scans', sub { scans() > $before + 5 }), "round $round: the worker reads the journal again and again");
    $other->kill9;
    $other->start;
    $other->fill('item:1');
    ok($other->wait_gone('item:1'), "round $round: what was forgotten is told again meanwhile");
    $cache->fill('item:2');
    sql('UPDATE item SET version = version + 1 WHERE id = 2');
    ok($cache->wait_gone('item:2'), "round $round: and so is what is new");
}
$load->kill_kill;
is(worker_pid($node, 'postgres'), $worker, 'by the same worker');

$node->stop;
done_testing();
