# What is done to a whole database while its worker runs: it steps aside for whoever may, comes back if the database does, and
# stays away without a word if not. A hanging cache changes nothing of it.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant QUICK => 5;    # seconds; the server itself waits that long for a database that is in use

# Who is no superuser can send away no autovacuum worker, which the server counts as somebody else's.
my $node  = new_node('main', max_worker_processes => 20, autovacuum => 'off');
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;
my $space = PostgreSQL::Test::Utils::tempdir();
sub sql { return $node->safe_psql('postgres', @_) }
sql("CREATE ROLE owner LOGIN CREATEDB; CREATE ROLE joe LOGIN CREATEDB; CREATE TABLESPACE away LOCATION '$space'");
my %next;

# A database of the role "owner" with the table item, whose keys are NAME:ID.
sub make_database {
    my ($name) = @_;
    sql("CREATE DATABASE $name OWNER owner");
    create_items($node, $name, $redis, rows => 40, arguments => "'key=$name:{id}', 'channel=$name'");
    return wait_for_worker($node, $name);
}

# Changes the next item; returns its key, cached before.
sub change {
    my ($database, $key_of) = @_;
    my $id  = ++$next{$database};
    my $key = ($key_of // $database) . ":$id";
    $redis->fill($key) unless $redis->{stopped};
    $node->safe_psql($database, "UPDATE item SET version = version + 1 WHERE id = $id");
    return $key;
}

sub delivers {
    my ($what, $database, $key_of) = @_;
    ok($redis->wait_gone(change($database, $key_of)), "$what: its worker delivers");
}

# The cache hangs and the worker of the database waits for it. Returns the key that it owes.
sub hang {
    my ($database, $key_of) = @_;
    delivers('before it', $database, $key_of);
    my $owed = ($key_of // $database) . ':' . ($next{$database} + 1);
    $redis->fill($owed);
    $redis->pause;
    $redis->{stopped} = 1;
    change($database, $key_of);
    wait_until('it waits', sub { target($node, $database, 'keys_pending') > 0 });
    return $owed;
}

sub resume { $redis->{stopped} = 0; $redis->resume }

sub is_quick {
    my ($what, $statement, $role) = @_;
    my $start = time;
    my $status = $node->psql('postgres', $statement, stderr => \my $problem, extra_params => $role ? [ '-U', $role ] : []);
    is($status, 0, $what) or diag($problem);
    cmp_ok(time - $start, '<', QUICK, "$what: at once");
}

sub lines_about {
    my ($pattern) = @_;
    return scalar grep { /$pattern/ } split /\n/, slurp_file($node->logfile);
}

# The launcher has looked at everything once more.
sub look_again {
    sql('CREATE DATABASE scratch');
    $node->safe_psql('scratch', 'CREATE EXTENSION cache_invalidate');
    ok(wait_for_worker($node, 'scratch'), 'the launcher goes on');
    sql('DROP DATABASE scratch');
}

# --- Statements that need the database for themselves, with a cache that answers and with one that hangs

for my $hangs (0, 1) {
    my $state = $hangs ? 'the cache hangs' : 'the cache answers';

    my $worker = make_database('rename_me');
    my $owed = hang('rename_me') if $hangs;
    is_quick("RENAME by its owner, $state", 'ALTER DATABASE rename_me RENAME TO renamed', 'owner');
    resume() if $hangs;
    ok(wait_for_worker($node, 'renamed', $worker), 'another worker comes for the new name');
    $next{renamed} = $next{rename_me};
    ok($redis->wait_gone($owed), 'and delivers what was owed') if $hangs;
    delivers("RENAME, $state", 'renamed', 'rename_me');

    $worker = wait_for_worker($node, 'renamed');
    $owed = hang('renamed', 'rename_me') if $hangs;
    is_quick("SET TABLESPACE, $state", 'ALTER DATABASE renamed SET TABLESPACE away');
    is_quick("SET TABLESPACE back, $state", 'ALTER DATABASE renamed SET TABLESPACE pg_default');
    resume() if $hangs;
    ok($redis->wait_gone($owed), 'what was owed is delivered') if $hangs;
    delivers("SET TABLESPACE, $state", 'renamed', 'rename_me');

    $owed = hang('renamed', 'rename_me') if $hangs;
    is_quick("CREATE DATABASE ... TEMPLATE by its owner, $state", 'CREATE DATABASE renamed_too TEMPLATE renamed', 'owner');
    is_quick("DROP DATABASE by its owner, $state", 'DROP DATABASE renamed_too', 'owner');
    resume() if $hangs;
    ok($redis->wait_gone($owed), 'what was owed is delivered') if $hangs;
    delivers("CREATE DATABASE ... TEMPLATE, $state", 'renamed', 'rename_me');
    $owed = hang('renamed', 'rename_me') if $hangs;
    is_quick("DROP DATABASE, $state", 'DROP DATABASE renamed');
    resume() if $hangs;

    # Its owner is no superuser and the worker runs as one: FORCE would be refused if the worker did not leave by itself.
    make_database('forced');
    my $session = $node->background_psql('forced', on_error_stop => 0, extra_params => [ '-U', 'owner' ]);
    hang('forced') if $hangs;
    is($node->psql('postgres', 'DROP DATABASE forced', extra_params => [ '-U', 'owner' ], stderr => \my $refused), 3,
        "DROP DATABASE that somebody uses, $state: refused");
    like($refused, qr/being accessed by other users/, 'because of the session');
    like($refused, qr/There is 1 other session/, 'and of nothing else');
    is_quick("DROP DATABASE ... WITH (FORCE) by its owner, $state", 'DROP DATABASE forced WITH (FORCE)', 'owner');
    resume() if $hangs;
    eval { $session->quit };
}

# --- Another database is nobody's business, though the server asks all processes to close its files

my $worker = make_database('kept');
sql('CREATE DATABASE other');
my $owed = hang('kept');
is_quick('DROP DATABASE of another one while the cache hangs', 'DROP DATABASE other');
sql('CREATE DATABASE other TABLESPACE away');
is_quick('another one moves to another tablespace', 'ALTER DATABASE other SET TABLESPACE pg_default');
is_quick('DROP TABLESPACE', 'DROP TABLESPACE away');
is(worker_pid($node, 'kept'), $worker, 'the worker has not left for it');
resume();
ok($redis->wait_gone($owed), 'and delivers what was owed');

# --- A copy has the servers and triggers too, and delivers its own changes to the same cache. What the source has
# delivered is not done again; what it owed they both owe.

my $batches = 'SELECT count(*) FROM (SELECT * FROM cache_invalidation_journal_0 UNION ALL SELECT * FROM cache_invalidation_journal_1) j'
  . ' WHERE get_byte(batch, 0) = 1';
ok(wait_until('no batch', sub { $node->safe_psql('kept', $batches) == 0 }), 'the journal of the source is empty');
$redis->fill(map { "kept:$_" } 1 .. 40);
my $first = $next{kept} + 1;
delivers('before the copy', 'kept');
$owed = hang('kept');
is_quick('CREATE DATABASE ... TEMPLATE', 'CREATE DATABASE copy TEMPLATE kept');
my $listener      = CacheInvalidate::Listener->new($node, 'kept', 'kept');
my $heard_by_copy = CacheInvalidate::Listener->new($node, 'copy', 'kept');
resume();
ok($redis->wait_gone($owed), 'what the source owed is delivered');
ok(wait_for_worker($node, 'copy'), 'the copy has a worker');
my $mark = 39;
$node->safe_psql($_, "UPDATE item SET version = version + 1 WHERE id = " . $mark++) for qw(kept copy);
ok($redis->wait_gone('kept:39', 'kept:40'), 'both deliver to the cache that both name');
# While a cache hangs, messages of the second before the worker left may come again, and what is owed may be said before we listen.
sub heard {
    my ($listener, $last) = @_;
    return join ' ', grep { $_ >= $next{kept} } map { $_->{message}{record_id} } $listener->take_until("of $last", sub { $_[0]{record_id} eq $last });
}
like(heard($listener, 39), qr/^($next{kept} )*39$/, 'the listeners of the source hear what was owed, and what is new');
like(heard($heard_by_copy, 40), qr/^($next{kept} )*40$/, 'those of the copy what was owed, and its own');
is_deeply([ grep { /^kept:/ } $redis->keys ], [ sort grep { !/^kept:($first|@{[ $first + 1 ]}|@{[ $first + 2 ]}|39|40)$/ } map { "kept:$_" } 1 .. 40 ],
    'nothing else is deleted a second time');
$_->quit for $listener, $heard_by_copy;
is_quick('the copy is dropped', 'DROP DATABASE copy');

# --- A database that takes no connections, or few

sql('ALTER DATABASE kept CONNECTION LIMIT 0');
$worker = wait_for_worker($node, 'kept');
sql("SELECT pg_terminate_backend($worker)");
$worker = wait_for_worker($node, 'kept', $worker);
ok($worker, 'CONNECTION LIMIT 0 does not count for the worker');
delivers('CONNECTION LIMIT 0', 'kept');
sql('ALTER DATABASE kept CONNECTION LIMIT -1');

my $session = $node->background_psql('kept');
sql('ALTER DATABASE kept ALLOW_CONNECTIONS false');
$redis->fill('kept:38');
$session->query_safe('UPDATE item SET version = version + 1 WHERE id = 38');
ok($redis->wait_gone('kept:38'), 'ALLOW_CONNECTIONS false: sessions that are there are delivered for');
my $started = lines_about('worker for database "kept" started');
sql("SELECT pg_terminate_backend($worker)");
ok(wait_until('gone', sub { !is_running($worker) }), 'the worker is ended');
look_again();
is(worker_pid($node, 'kept'), undef, 'and does not come back');
is(lines_about('not currently accepting connections'), 0, 'nor does it try');
$redis->fill('kept:37');
$session->query_safe('UPDATE item SET version = version + 1 WHERE id = 37');
$session->quit;
sql('ALTER DATABASE kept ALLOW_CONNECTIONS true');
my $start = time;
$worker = wait_for_worker($node, 'kept');
cmp_ok(time - $start, '<', QUICK, 'ALLOW_CONNECTIONS true: it comes back at once');
is(lines_about('worker for database "kept" started'), $started + 1, 'in one attempt');
ok($redis->wait_gone('kept:37'), 'and delivers what was committed meanwhile');

# --- A template is for others to copy: its worker stays away

sql('ALTER DATABASE kept IS_TEMPLATE true');
ok(wait_until('gone', sub { !is_running($worker) }), 'IS_TEMPLATE true: the worker leaves');
is_quick('CREATE DATABASE ... TEMPLATE by anybody', 'CREATE DATABASE copy TEMPLATE kept', 'joe');
ok(wait_for_worker($node, 'copy'), 'the copy has a worker');
is(worker_pid($node, 'kept'), undef, 'the template has none');
is_quick('the copy is dropped', 'DROP DATABASE copy', 'joe');
$redis->fill('kept:36');
$node->safe_psql('kept', 'UPDATE item SET version = version + 1 WHERE id = 36');
sql('ALTER DATABASE kept IS_TEMPLATE false');
ok($redis->wait_gone('kept:36'), 'IS_TEMPLATE false: it comes back, and delivers what was committed meanwhile');

# --- The extension in template1: databases are born with it

$node->safe_psql('template1', 'CREATE EXTENSION cache_invalidate');
$start = time;
is_quick('CREATE DATABASE, with the extension in template1', 'CREATE DATABASE born', 'joe');
ok(wait_for_worker($node, 'born'), 'has a worker');
cmp_ok(time - $start, '<', QUICK, 'at once');
is(worker_pid($node, 'template1'), undef, 'template1 has none');
is_quick('DROP DATABASE', 'DROP DATABASE born', 'joe');
$node->safe_psql('template1', 'DROP EXTENSION cache_invalidate');

# --- Nothing is left of what is gone

look_again();
is(lines_about('database .*does not exist|database \d+.* (was|has been) removed'), 0, 'no process ran into a missing database');
is(lines_about('FATAL(?!.*terminating)'), 0, 'or failed to get into one');
is(lines_about('no free slot'), 0, 'no slot is kept for what is gone');
my $names = q('template0', 'template1', 'postgres');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'cache_invalidate worker' AND datname IN ($names)"),
    0, 'no worker where the extension is not');
is(sql("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'template0'"), 0, 'nobody was in template0');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|was terminated by signal/, 'no process died');
$node->stop;
done_testing();
