# What the nemesis can do to a stage: how each fault begins and how it is healed. Both return soon, or when the server is back.
package CacheInvalidate::Faults;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(remove_tree);
use IO::Handle;
use IO::Socket::UNIX;
use IPC::Open2;

use CacheInvalidate::Node;
use CacheInvalidate::Stage qw(REDIS_USER WORKER_ROLE);
use CacheInvalidate::Wait;

our @EXPORT_OK = qw(faults);

# Each is { parts, what it takes hold of, so that nobody else does meanwhile: "server" also what has to be heard by it; weight; seconds,
# from and to, that it lasts; before, what is done some seconds earlier; begin; heal }. Those with the part "cache" or "wire" are for one
# of two, whose number they get.
my %faults;

sub faults { return \%faults }

sub _fault {
    my ($name, $parts, $weight, $seconds, %does) = @_;
    $faults{$name} = { parts => $parts, weight => $weight, seconds => $seconds, begin => sub { }, heal => sub { }, %does };
}

# --- PostgreSQL

# Sends a signal to one process; which one is up to the server. Returns its id.
sub _signal {
    my ($stage, $signal, $condition) = @_;
    my $pid = $stage->ask("SELECT pid FROM pg_stat_activity WHERE $condition AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1") // '';
    kill $signal, $pid if $pid =~ /^\d+$/;
    return $pid;
}

my $worker = "backend_type = 'cache_invalidate worker' AND datname = 'postgres'";
my $writer = "backend_type = 'client backend' AND xact_start IS NOT NULL";
my $is_back = sub { $_[0]->insist('SELECT 1') };

_fault('worker-kill', ['server'], 4, [ 0, 0 ], begin => sub { _signal($_[0], 'KILL', $worker) }, heal => $is_back);
_fault('worker-end', ['server'], 4, [ 0, 0 ], begin => sub { _signal($_[0], 'TERM', $worker) });
_fault(
    'worker-stop', ['server'], 3, [ 0.2, 5 ],
    begin => sub { my ($stage) = @_; $stage->{stopped} = _signal($stage, 'STOP', $worker) },
    heal  => sub { my ($stage) = @_; kill 'CONT', $stage->{stopped} if $stage->{stopped} });
_fault('backend-kill', ['server'], 2, [ 0, 0 ], begin => sub { _signal($_[0], 'KILL', $writer) }, heal => $is_back);
_fault('backends-end', ['server'], 2, [ 0, 0 ], begin => sub { _signal($_[0], 'TERM', $writer) for 1 .. 3 });
_fault('postmaster-kill', ['server'], 2, [ 0, 1 ], begin => sub { kill_postmaster($_[0]->primary) }, heal => sub { $_[0]->primary->start });
_fault('stop-immediate', ['server'], 2, [ 0, 1 ], begin => sub { $_[0]->primary->stop('immediate') }, heal => sub { $_[0]->primary->start });
_fault('stop-fast', ['server'], 2, [ 0, 1 ], begin => sub { $_[0]->primary->stop('fast') }, heal => sub { $_[0]->primary->start });
_fault('promotion', ['server'], 2, [ 0, 0 ], begin => sub { $_[0]->promote });
_fault('checkpoint', [], 2, [ 0, 0 ], begin => sub { $_[0]->ask('SELECT pg_switch_wal(); CHECKPOINT') });
_fault(
    'vacuum-full', [], 2, [ 0, 0 ],
    begin => sub {
        my ($stage) = @_;
        for my $table (qw(trigger_error_log cache_invalidation_journal_0 cache_invalidation_journal_1)) {
            # A prepared transaction holds one of them for as long as it is open.
            $stage->ask("SET lock_timeout = '300ms'; VACUUM FULL $table");
        }
    });

# A session that has a snapshot and does nothing.
_fault(
    'long-snapshot', ['snapshot'], 2, [ 2, 10 ],
    begin => sub {
        my ($stage) = @_;
        $stage->{snapshot} = open2($stage->{shown}, my $in, $stage->primary->installed_command('psql'), '-XAtq', '-d', $stage->primary->connstr('postgres'), '-f', '-');
        $in->autoflush(1);
        # It may be gone already, with its server.
        local $SIG{PIPE} = 'IGNORE';
        print $in "BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM pg_class;\n";
        $stage->{says} = $in;
    },
    heal => sub {
        my ($stage) = @_;
        kill 'TERM', $stage->{snapshot};
        waitpid $stage->{snapshot}, 0;
        delete @$stage{qw(snapshot shown says)};
    });

# For the worker's role: the other sessions go without. They count for a new worker.
my @hostile = (
    "statement_timeout = '1ms'", "lock_timeout = '1ms'", "idle_in_transaction_session_timeout = '1ms'", "idle_session_timeout = '1ms'",
    'default_transaction_read_only = on', "default_transaction_isolation = 'serializable'", 'search_path = pg_temp', "DateStyle = 'SQL, DMY'",
    "TimeZone = 'Asia/Kolkata'", "bytea_output = 'escape'", 'enable_seqscan = off', 'row_security = off', "work_mem = '64kB'");
_fault(
    'hostile-settings', ['server'], 2, [ 1, 4 ],
    begin => sub {
        my ($stage) = @_;
        $stage->insist(join ';', map { 'ALTER ROLE ' . WORKER_ROLE . " IN DATABASE postgres SET $_" } @hostile);
        _signal($stage, 'TERM', $worker);
    },
    heal => sub { $_[0]->insist('ALTER ROLE ' . WORKER_ROLE . ' IN DATABASE postgres RESET ALL') });

# --- A Redis

# What is wrong with its configuration is tried again after 30 s, or when whoever corrected it says so.
sub _tell { $_[0]->ask('SELECT pg_reload_conf()') }

_fault('redis-kill-empty', ['cache'], 3, [ 0, 3 ],
    begin => sub { my ($stage, $n) = @_; $stage->redis($n)->kill9 },
    heal  => sub { my ($stage, $n) = @_; $stage->redis($n)->start });
# What it holds is from before it was killed; the file must not come back once more, much later.
_fault('redis-old-dump', ['cache'], 5, [ 0, 3 ],
    before => sub { my ($stage, $n) = @_; $stage->redis($n)->command('SAVE') },
    begin  => sub { my ($stage, $n) = @_; $stage->redis($n)->kill9 },
    heal   => sub { my ($stage, $n) = @_; my $redis = $stage->redis($n); $redis->start; unlink "$redis->{dir}/dump.rdb" });
_fault(
    'redis-append-only', ['cache'], 2, [ 0, 3 ],
    before => sub { my ($stage, $n) = @_; $stage->redis($n)->command('CONFIG', 'SET', 'appendonly', 'yes') },
    begin  => sub { my ($stage, $n) = @_; $stage->redis($n)->kill9 },
    heal   => sub {
        my ($stage, $n) = @_;
        my $redis = $stage->redis($n);
        local $redis->{config} = [ @{ $redis->{config} }, 'appendonly yes' ];
        $redis->start;
        $redis->command('CONFIG', 'SET', 'appendonly', 'no');
        remove_tree("$redis->{dir}/appendonlydir");
        unlink "$redis->{dir}/appendonly.aof";
    });
_fault('redis-hang', ['cache'], 3, [ 0.5, 5 ],
    begin => sub { my ($stage, $n) = @_; $stage->redis($n)->pause },
    heal  => sub { my ($stage, $n) = @_; $stage->redis($n)->resume });
_fault('redis-pause', ['cache'], 2, [ 0.5, 5 ],
    begin => sub { my ($stage, $n) = @_; $stage->redis($n)->command('CLIENT', 'PAUSE', 30000, 'WRITE') },
    heal  => sub { my ($stage, $n) = @_; $stage->redis($n)->command('CLIENT', 'UNPAUSE') });
_fault('redis-flush', ['cache'], 1, [ 0, 0 ], begin => sub { my ($stage, $n) = @_; $stage->redis($n)->command('FLUSHALL') });
_fault(
    'redis-busy', ['cache'], 2, [ 1, 4 ],
    begin => sub {
        my ($stage, $n) = @_;
        $stage->{script}[$n] = IO::Socket::UNIX->new(Peer => $stage->redis($n)->{path}) or return;
        $stage->{script}[$n]->syswrite("EVAL 'while true do end' 0\r\n");
    },
    heal => sub {
        my ($stage, $n) = @_;
        # It can be killed when it counts as slow.
        wait_until('the script ends', sub { eval { $stage->redis($n)->command('SCRIPT', 'KILL') } });
        delete $stage->{script}[$n];
    });
_fault('redis-memory', ['cache'], 2, [ 0.5, 5 ],
    begin => sub { my ($stage, $n) = @_; $stage->redis($n)->command('CONFIG', 'SET', 'maxmemory', 1) },
    heal  => sub { my ($stage, $n) = @_; $stage->redis($n)->command('CONFIG', 'SET', 'maxmemory', 0) });
# A disk on which nothing can be saved: where its file should be, a folder is.
_fault(
    'redis-misconf', ['cache'], 2, [ 0.5, 4 ],
    begin => sub {
        my ($stage, $n) = @_;
        my $redis = $stage->redis($n);
        $redis->command('CONFIG', 'SET', 'save', '3600 1000000');
        mkdir "$redis->{dir}/dump.rdb";
        $redis->command('BGSAVE');
        wait_until('a save fails', sub { $redis->command('INFO', 'persistence') =~ /rdb_last_bgsave_status:err/ });
    },
    heal => sub {
        my ($stage, $n) = @_;
        my $redis = $stage->redis($n);
        rmdir "$redis->{dir}/dump.rdb";
        $redis->command('CONFIG', 'SET', 'save', '');
        _tell($stage);
    });
_fault('connection-kill', ['cache'], 3, [ 0, 0 ],
    begin => sub { my ($stage, $n) = @_; $stage->redis($n)->command('CLIENT', 'KILL', 'USER', REDIS_USER) });
_fault('rights-lost', ['cache'], 2, [ 0.5, 4 ],
    begin => sub { my ($stage, $n) = @_; $stage->redis($n)->command('ACL', 'SETUSER', REDIS_USER, '-unlink', '-del') },
    heal  => sub { my ($stage, $n) = @_; $stage->redis($n)->command('ACL', 'SETUSER', REDIS_USER, '+@all'); _tell($stage) });
_fault('login-lost', ['cache'], 1, [ 0.5, 4 ],
    begin => sub {
        my ($stage, $n) = @_;
        $stage->redis($n)->command('ACL', 'SETUSER', REDIS_USER, 'off');
        $stage->redis($n)->command('CLIENT', 'KILL', 'USER', REDIS_USER);
    },
    heal => sub { my ($stage, $n) = @_; $stage->redis($n)->command('ACL', 'SETUSER', REDIS_USER, 'on'); _tell($stage) });

# --- Between them; the readers go to the Redis on another way

_fault('wire-cut', ['wire'], 5, [ 0.5, 6 ],
    begin => sub { my ($stage, $n) = @_; $stage->wire($n)->cut },
    heal  => sub { my ($stage, $n) = @_; $stage->wire($n)->mend });
_fault('wire-stall', ['wire'], 5, [ 0.5, 6 ],
    begin => sub { my ($stage, $n) = @_; $stage->wire($n)->stall },
    heal  => sub { my ($stage, $n) = @_; $stage->wire($n)->unstall });
# Connections come about, and break after some answers.
_fault(
    'wire-frail', ['wire'], 3, [ 1, 6 ],
    begin => sub { my ($stage, $n) = @_; $stage->wire($n)->cut; $stage->wire($n)->mend(3000) },
    heal  => sub { my ($stage, $n) = @_; $stage->wire($n)->cut; $stage->wire($n)->mend });
_fault(
    'wrong-url', [ 'wire', 'server' ], 2, [ 0.5, 4 ],
    begin => sub { my ($stage, $n) = @_; $stage->set_url($n, $stage->wire($n)->url . '.nowhere') },
    heal  => sub { my ($stage, $n) = @_; $stage->set_url($n, $stage->wire($n)->url) });

1;
