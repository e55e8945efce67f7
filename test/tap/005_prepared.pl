# Prepared transactions: what they changed is delivered when they are committed, by whomever, across restarts and
# crashes; what is rolled back never; and while they wait they hold nothing else up.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node  = new_node('main');
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;
create_items($node, 'postgres', $redis, rows => 100);
wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }

my $next_free = 51;    # 51 and above are the sentinels'

# Changes the item with the given id in a prepared transaction of that name.
sub prepare {
    my ($name, @ids) = @_;
    sql('BEGIN; ' . join('', map { "UPDATE item SET version = version + 1 WHERE id = $_; " } @ids) . "PREPARE TRANSACTION '$name'");
}

# What comes later arrives; true when nothing of the others was touched.
sub others_go_on {
    my ($what, @kept) = @_;
    my $id = $next_free++;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($redis->wait_gone("item:$id"), "$what: other deliveries go on");
    is($redis->command('EXISTS', map { "item:$_" } @kept), scalar @kept, "$what: and nothing of it is delivered") if @kept;
}

# --- In one life of the server

my $listener = CacheInvalidate::Listener->new($node, 'postgres');
prepare('one', 1, 2);
prepare('two', 3);
others_go_on('prepared', 1, 2, 3);
sql("COMMIT PREPARED 'one'");
ok($redis->wait_gone('item:1', 'item:2'), 'COMMIT PREPARED from another session');
sql("ROLLBACK PREPARED 'two'");
others_go_on('ROLLBACK PREPARED', 3);
my @heard = map { $_->{message}{record_id} } $listener->take_until('all messages', sub { $_[0]{record_id} eq $next_free - 1 });
is(scalar(grep { $_ == 1 || $_ == 2 } @heard), 2, 'the messages of the committed one came, each once');
is(scalar(grep { $_ == 3 } @heard), 0, 'none of the one that was rolled back');

# A savepoint inside.
sql("BEGIN; UPDATE item SET version = 9 WHERE id = 4; SAVEPOINT s; UPDATE item SET version = 9 WHERE id = 5; ROLLBACK TO s;
     PREPARE TRANSACTION 'savepoint'; COMMIT PREPARED 'savepoint'");
ok($redis->wait_gone('item:4'), 'with a savepoint');
others_go_on('a savepoint that was rolled back', 5);
$listener->quit;

# --- Across restarts and crashes

my $id = 10;
my %down = (
    'a restart' => sub { $node->restart },
    'an immediate stop' => sub { $node->stop('immediate'); $node->start },
    'a crash of a backend' => sub {
        my $session = $node->background_psql('postgres');
        my $pid = $session->query_safe('SELECT pg_backend_pid()');
        my $worker = worker_pid($node, 'postgres');
        kill 'KILL', $pid;
        wait_until('everybody is told', sub { !is_running($worker) });
        wait_for_server($node);
        eval { $session->quit };
    });
for my $what (sort keys %down) {
    my ($kept, $lost, $again) = ($id, $id + 1, $id + 2);
    $id += 3;
    prepare('kept', $kept);
    prepare('lost', $lost);
    $down{$what}->();
    others_go_on("after $what", $kept, $lost);
    sql("COMMIT PREPARED 'kept'");
    ok($redis->wait_gone("item:$kept"), "after $what: what is committed then is delivered");
    sql("ROLLBACK PREPARED 'lost'");
    others_go_on("after $what: ROLLBACK PREPARED", $lost);
    # Committed, and down before the worker can have done anything about it.
    prepare('again', $again);
    $redis->pause;
    sql("COMMIT PREPARED 'again'");
    $down{$what}->();
    $redis->resume;
    ok($redis->wait_gone("item:$again"), "$what right after COMMIT PREPARED: it is delivered");
}

# --- The journal

prepare('long', 40);
sql('UPDATE item SET version = version + 1 WHERE id = 41') for 1 .. 50;
others_go_on('while one stays prepared', 40);
sql("COMMIT PREPARED 'long'");
ok($redis->wait_gone('item:40'), 'it is delivered in the end');
ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'and the journal is empty again');
my $truncations = stat_of($node, 'postgres', 'journal_truncations');
ok(wait_until('truncated',
        sub {
            sql('UPDATE item SET version = version + 1 WHERE id = 42');
            stat_of($node, 'postgres', 'journal_truncations') > $truncations + 1;
        }), 'both segments are truncated again and again');

is(sql('SELECT count(*) FROM pg_prepared_xacts'), '0', 'nothing is prepared any more');
my $expected = sql('SELECT count(*) FROM item WHERE version = 0');
is($redis->command('DBSIZE'), $expected, 'exactly the keys of unchanged items are left');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'no process panicked');
$node->stop;
done_testing();
