# Redis is down or hangs, or the worker stands still: commits and messages go on, and afterwards every owed key
# is deleted, also beyond what the ring holds and across restarts of the server; and no other key, unless more was owed
# than max_backlog_keys: then its whole template.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { ROWS => 30_000, COMMITS => 4000 };

my $node = new_node('main', 'cache_invalidate.ring_size' => '64kB');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache', config => [ 'appendonly yes', 'appendfsync always' ]);
create_items($node, 'postgres', $redis, rows => ROWS);
my $worker = wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');
my $script = PostgreSQL::Test::Utils::tempdir() . '/next.sql';
append_to_file($script, "UPDATE item SET version = version + 1 WHERE id = (SELECT nextval('next_item'));\n");
$node->safe_psql('postgres', 'CREATE SEQUENCE next_item');

sub sql { return $node->safe_psql('postgres', @_) }

# COMMITS transactions of one item each, none changed before; returns their keys and the seconds it took.
sub commits {
    my $from  = sql('SELECT last_value + is_called::int FROM next_item');
    my $start = time;
    my $log;
    my @command = ('pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', 4, '-j', 2, '-t', COMMITS / 4, '-f', $script, 'postgres');
    IPC::Run::run(\@command, '<', \undef, '>', \$log, '2>&1');
    my $seconds = time - $start;
    like($log, qr/actually processed: ${\ COMMITS}\/${\ COMMITS}\b/, 'all transactions commit') or diag($log);
    return ([ map { "item:$_" } $from .. $from + COMMITS - 1 ], $seconds);
}

sub sentinel_is_heard {
    my ($what, $id) = @_;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    ok(scalar $listener->take_until($what, sub { $_[0]{record_id} eq $id }), $what);
}

sub kept { return sql('SELECT count(*) FROM item WHERE version = 0') }

# Exactly the changed ones are gone.
sub is_settled {
    my ($what, $keys) = @_;
    # If not, nothing of what follows could be judged.
    ok($redis->wait_gone(@$keys), "$what: every owed key is deleted") or die 'keys are left';
    ok(wait_until('the target is up', sub { target($node, 'postgres', 'state') eq 'up' }), "$what: the target is up");
    is($redis->command('DBSIZE'), kept(), "$what: no other key is");
}

# --- As it is without trouble

my ($keys, $usual) = commits();
is_settled('at first', $keys);

# --- Redis is down, and more is owed than may be

sql('ALTER SYSTEM SET cache_invalidate.max_backlog_keys = 1000');
sql('SELECT pg_reload_conf()');
$redis->fill('other:1', 'items');
$redis->kill9;
sentinel_is_heard('messages go on while Redis is down', ROWS);
ok(wait_until('the view says so', sub { target($node, 'postgres', 'state') eq 'down' }), 'the view says that it is down');
isnt(target($node, 'postgres', 'problem'), '', 'and why');
($keys, my $seconds) = commits();
# Loose, since machines are busy; waiting for Redis even once a commit would take minutes.
cmp_ok($seconds, '<', 3 * $usual + 5, 'commits are not slower while Redis is down');
sentinel_is_heard('messages keep up', ROWS - 1);
is(target($node, 'postgres', 'widened > 0 AND keys_pending <= 1000 AND NOT reads_journal'), 't', 'the keys are widened to the pattern of their template');
$redis->start;
ok($redis->wait_gone(map { "item:$_" } 1 .. ROWS), 'every key of the template is deleted') or die 'keys are left';
is_deeply([ $redis->keys ], [ 'items', 'other:1' ], 'no other key is');
is(() = slurp_file($node->logfile) =~ /"cache" is owed more than max_backlog_keys: keys are widened to patterns/g, 1, 'one line says so');
$redis->command('UNLINK', 'items', 'other:1');
sql('ALTER SYSTEM RESET cache_invalidate.max_backlog_keys');
sql('SELECT pg_reload_conf()');
$redis->fill(map { "item:$_" } split /\n/, sql('SELECT id FROM item WHERE version = 0'));
ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty again');
is(worker_pid($node, 'postgres'), $worker, 'the worker was never restarted');

# --- Redis is down while the server restarts, and crashes

$redis->kill9;
($keys) = commits();
$listener->quit;
$node->restart;
my ($more) = commits();
wait_for_worker($node, 'postgres');
$node->stop('immediate');
$node->start;
sql('UPDATE item SET version = version + 1 WHERE id = ' . (ROWS - 2));
$redis->start;
is_settled('an outage with restarts', [ @$keys, @$more, 'item:' . (ROWS - 2) ]);

# --- A clean restart repeats no message that is older than a second or two

# Whether the worker has noted in the journal, after this transaction, what is delivered: rows that begin with 2.
sub is_noted_after {
    my ($transaction) = @_;
    return 't' eq sql("SELECT count(*) > 0 FROM (SELECT xmin, batch FROM cache_invalidation_journal_0"
          . " UNION ALL SELECT xmin, batch FROM cache_invalidation_journal_1) r"
          . " WHERE get_byte(batch, 0) = 2 AND xmin::text::bigint > $transaction");
}

$listener = CacheInvalidate::Listener->new($node, 'postgres');
for my $group ([ 20, 3 ], [ 1, 23 ]) {
    my ($count, $from) = @$group;
    sql('UPDATE item SET version = version + 1 WHERE id BETWEEN ' . (ROWS - $from - $count + 1) . ' AND ' . (ROWS - $from));
    my @heard = $listener->take_until("$count messages", sub { $_[0]{record_id} eq ROWS - $from - $count + 1 });
    my $transaction = $heard[-1]{message}{batch_id};
    ok(wait_until('noted', sub { is_noted_after($transaction) }), 'what was delivered is noted');
}
$listener->quit;
$node->restart;
$listener = CacheInvalidate::Listener->new($node, 'postgres');
ok(wait_for_worker($node, 'postgres'), 'the worker is there');
sentinel_is_heard('after the restart', ROWS - 24);
ok(wait_until('counted', sub { stat_of($node, 'postgres', 'messages') > 0 }), 'the message is counted');
cmp_ok(stat_of($node, 'postgres', 'messages'), '<=', 2, 'a clean restart repeats none of those before the last note');

# --- The worker stands still, and the ring overflows

$worker = stop_worker($node, 'postgres');
($keys) = commits();
is($redis->command('EXISTS', @$keys), COMMITS, 'nothing is delivered meanwhile');
my $scans = stat_of($node, 'postgres', 'journal_scans');
kill 'CONT', $worker;
is_settled('after an overflow', $keys);
cmp_ok(stat_of($node, 'postgres', 'journal_scans'), '>', $scans, 'the journal was read');
is(worker_pid($node, 'postgres'), $worker, 'the worker goes on');
sentinel_is_heard('messages go on', ROWS - 25);

# --- Redis hangs

$redis->pause;
my $start = time;
sentinel_is_heard('messages go on while Redis hangs', ROWS - 26);
cmp_ok(time - $start, '<', 5, 'after signal_timeout');
($keys) = commits();
sentinel_is_heard('messages keep up', ROWS - 27);
$redis->resume;
is_settled('after it hung', $keys);

$listener->quit;
unlike(slurp_file($node->logfile), qr/PANIC|was terminated by signal/, 'no process died');
$node->stop;
done_testing();
