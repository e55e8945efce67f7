# The judged load, while the worker, a backend, the postmaster and Redis are killed in turn, each once with all
# delivered as it comes and once with a backlog: nothing that was committed is lost, nothing else is deleted.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Load;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { ROWS => 100_000, ENDLESS => 1_000_000, BACKLOG => 1000 };

my $node = new_node('main', max_wal_size => '4GB', checkpoint_timeout => '30s');
$node->start;
# It answers a delete only when it has written it down: a crash brings no key back.
my $redis = CacheInvalidate::Redis->new('cache', config => [ 'appendonly yes', 'appendfsync always', 'auto-aof-rewrite-percentage 0' ]);
my $load = CacheInvalidate::Load->new($node, $redis, ROWS);
ok(wait_for_worker($node, 'postgres'), 'the worker is there');

sub committed { return $node->safe_psql('postgres', 'SELECT count(*) FROM item WHERE version > 0') }

# Redis hangs until many committed changes wait for it.
sub make_backlog {
    $redis->pause;
    my $before = committed();
    ok(wait_until('commits go on', sub { committed() >= $before + BACKLOG }), 'commits go on while Redis hangs');
}

sub kill_worker {
    my $pid = worker_pid($node, 'postgres');
    is(kill('KILL', $pid), 1, 'kill -9 of the worker');
}

sub kill_backend {
    my $pid = $node->safe_psql('postgres',
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'load' ORDER BY state, random() LIMIT 1");
    is($pid && kill("KILL", $pid), 1, "kill -9 of a backend");
}

sub kill_postmaster_and_start {
    ok(kill_postmaster($node), 'after kill -9 of the postmaster all its processes end by themselves');
    $node->start;
}

sub crash {
    my ($what, $kill, $backlog) = @_;
    $load->start(ENDLESS);
    # Somewhere in the middle.
    $load->wait_for_progress(300 + int rand 1500);
    make_backlog() if $backlog;
    $kill->();
    $load->finish if $load->runs;
    $redis->resume if $backlog;
    ok(wait_for_server($node), "$what: the server is there again");
    $load->judge($what);
    ok($load->has_only_lost_connections, "$what: no transaction failed by itself");
}

for my $backlog (0, 1) {
    my $with = $backlog ? ' with a backlog' : '';
    crash("kill -9 of the worker$with",     \&kill_worker, $backlog);
    crash("kill -9 of a backend$with",      \&kill_backend, $backlog);
    crash("kill -9 of the postmaster$with", \&kill_postmaster_and_start, $backlog);
}

# What befalls Redis is none of the clients' business: the load runs to its end.
sub trouble {
    my ($what, $act) = @_;
    my $worker = worker_pid($node, 'postgres');
    $load->start(2000);
    $load->wait_for_progress(100 + int rand 500);
    $act->();
    ok($load->finish, "$what: no transaction fails") or diag($load->said);
    $load->judge($what);
    is(worker_pid($node, 'postgres'), $worker, "$what: the worker goes on");
}

trouble('kill -9 of Redis', sub { $redis->kill9; $redis->start });
trouble('kill -9 of Redis with a backlog', sub { make_backlog(); $redis->kill9; $redis->start });
trouble('restart of Redis', sub { $redis->stop; $redis->start });
trouble('connections that Redis closes',
    sub {
        for (1 .. 10) {
            $redis->command('CLIENT', 'KILL', 'TYPE', 'normal');
            $load->wait_for_progress(20);
        }
    });

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|was terminated by signal (?!9\b)/, 'no process died by itself');
unlike($log, qr/damaged row/, 'nothing in the journal was damaged');
$node->stop;
done_testing();
