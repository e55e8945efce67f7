# The programs of docs/recipes.md run as they are: examples/cache_aside.* read through the cache whose keys changes delete, and go on
# without Redis; the browsers of examples/browser_server.js drop what is stale. A language whose packages are not there is skipped;
# CACHE_ASIDE_GO may name a program that was built from examples/cache_aside.go. And what the page says of its SQL is so.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Documentation;
use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant PATIENCE => 60;    # seconds

# No message is told before its keys are deleted, and once more then.
my $node = new_node('main', 'cache_invalidate.signal_timeout' => '1min');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache', tcp => 1);
sql('CREATE EXTENSION cache_invalidate');
sql("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis->url }')");
for my $table (qw(tasks projects)) {
    sql("CREATE TABLE $table (id integer PRIMARY KEY, project_id integer, title text);
         INSERT INTO $table SELECT n, 1, 'title' || n FROM generate_series(1, 3) n;
         CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON $table FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}')");
}
wait_for_worker($node, 'postgres');

my $examples = abs_path(dirname(__FILE__) . '/../../examples');
$ENV{REDIS_URL}  = $redis->url;
$ENV{PGHOST}     = $node->host;
$ENV{PGPORT}     = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER}     = sql('SELECT current_user');
$ENV{PGSSLMODE}  = 'disable';
$ENV{PYTHONDONTWRITEBYTECODE} = 1;
# Where Debian has the packages, for a node that is not Debian's.
$ENV{NODE_PATH} = join ':', grep { $_ } $ENV{NODE_PATH}, '/usr/share/nodejs';

sub sql { return $node->safe_psql('postgres', @_) }

sub succeeds {
    my (@command) = @_;
    return eval { IPC::Run::run([@command], '<', \undef, '>', \my $said, '2>&1') };
}

# The first of the programs that has the packages; undef: none.
sub python_with {
    my ($packages) = @_;
    my ($found) = grep { succeeds($_, '-c', "import $packages") } '/usr/bin/python3', 'python3';
    return $found;
}

sub node_with {
    my (@packages) = @_;
    my $code = join ';', map { "require('$_')" } @packages;
    my ($found) = grep { succeeds($_, '-e', $code) } 'node', 'nodejs';
    return $found;
}

# ---- Cache-aside --------------------------------------------------------------------------------

my $go       = $ENV{CACHE_ASIDE_GO};
my @programs = (
    { name => 'redis-py',   runs => python_with('psycopg2, redis'), arguments => ["$examples/cache_aside.py"] },
    { name => 'node-redis', runs => node_with(qw(pg redis)),        arguments => ["$examples/cache_aside_node_redis.js"] },
    { name => 'ioredis',    runs => node_with(qw(pg ioredis)),      arguments => ["$examples/cache_aside_ioredis.js"] },
    { name => 'go-redis',   runs => $go && -x $go ? $go : undef,    arguments => [] });

# What it says of a task.
sub says {
    my ($program, $id) = @_;
    my ($output, $errors) = ('', '');
    IPC::Run::run([ $program->{runs}, @{ $program->{arguments} }, $id ],
        '<', \undef, '>', \$output, '2>', \$errors, IPC::Run::timeout(PATIENCE))
      or diag("$program->{name}: status $?: $errors");
    return $output =~ s/\s+//gr;
}

sub row {
    my ($id, $title) = @_;
    return qq({"id":$id,"project_id":1,"title":"$title"});
}

# Should Redis be slow for a moment, the program reads without it: once more, then.
sub says_and_stores {
    my ($program, $id, $expected, $what) = @_;
    my $said;
    wait_until("$what is cached", sub { $said = says($program, $id); $redis->has("task:$id") });
    is($said, $expected, "$program->{name}: $what is read");
    is($redis->command('GET', "task:$id") =~ s/\s+//gr, $expected, "$program->{name}: $what is cached");
    my $seconds = $redis->command('TTL', "task:$id");
    ok($seconds > 0 && $seconds <= 60, "$program->{name}: for a minute");
}

sub check_reading {
    my ($program) = @_;
    my $name = $program->{name};
    $redis->command('FLUSHALL');
    says_and_stores($program, 3, row(3, 'title3'), 'a row');
    $redis->command('SET', 'task:3', row(3, 'cached'));
    ok(wait_until('a hit', sub { says($program, 3) eq row(3, 'cached') }), "$name: what is cached is used");
    sql("UPDATE tasks SET title = 'new' WHERE id = 3");
    ok($redis->wait_gone('task:3'), "$name: a change deletes it");
    says_and_stores($program, 3, row(3, 'new'), 'the changed row');
    says_and_stores($program, 4, 'null', 'that there is no row');
    sql("INSERT INTO tasks VALUES (4, 1, 'added')");
    ok($redis->wait_gone('task:4'), "$name: an INSERT deletes that");
    is(says($program, 4), row(4, 'added'), "$name: the new row is read");
    # As before, for the next program.
    $redis->fill('task:3', 'task:4');
    sql("DELETE FROM tasks WHERE id = 4; UPDATE tasks SET title = 'title3' WHERE id = 3");
    ok($redis->wait_gone('task:3', 'task:4'), "$name: other changes delete it too");
}

sub check_without_redis {
    my ($program) = @_;
    $redis->pause;
    is(says($program, 3), row(3, 'title3'), "$program->{name}: with a Redis that hangs the row is read");
    $redis->resume;
    $redis->stop;
    is(says($program, 3), row(3, 'title3'), "$program->{name}: with a Redis that is away as well");
    $redis->start;
}

# ---- Browsers -----------------------------------------------------------------------------------

# A browser, more or less. Of what it reads it only knows how often it had to read by then, so that an entry tells whether it is
# another one. Asked "get RESOURCE ID" it says that number, asked "messages" how many of projects have come; "hold" and "finish" stand around
# a time in which nothing that is read arrives.
my $browser_code = <<'EOF';
const { BrowserCache } = require(process.argv[1]);
const { WebSocket } = require('ws');
let loads = 0;
let messages = 0;
let held = Promise.resolve();
let release = () => {};
class Browser extends BrowserCache {
  take(text) { super.take(text); if (text.includes('"projects"')) messages++; }
}
BrowserCache.RETRY_MS = 50;
const load = async () => { const number = ++loads; await held; return number; };
const cache = new Browser(process.argv[2], load, WebSocket);
require('readline').createInterface({ input: process.stdin }).on('line', async (line) => {
  const [command, resource, id] = line.split(' ');
  if (command === 'get') console.log(await cache.get(resource, id));
  if (command === 'messages') console.log(messages);
  if (command === 'hold') held = new Promise((resolve) => { release = resolve; });
  if (command === 'finish') { release(); held = Promise.resolve(); }
}).on('close', () => cache.close());
EOF

sub start_program {
    my (@command) = @_;
    my %program = (input => '', output => '', errors => '');
    $program{run} = IPC::Run::start([@command], '<', \$program{input}, '>', \$program{output}, '2>', \$program{errors}, IPC::Run::timeout(5 * PATIENCE));
    return \%program;
}

# The next line that it says.
sub next_line {
    my ($program) = @_;
    $program->{run}->pump until $program->{output} =~ /\n/ or !$program->{run}->pumpable;
    return $program->{output} =~ s/^(.*)\n// ? $1 : "ended: $program->{errors}";
}

sub ask {
    my ($program, $question) = @_;
    $program->{input} .= "$question\n";
    return next_line($program);
}

# Waits until it keeps what it reads.
sub is_live {
    my ($browser) = @_;
    return wait_until('the browser is connected', sub { ask($browser, 'get none 0') eq ask($browser, 'get none 0') });
}

# Does what is given, and tells which of these entries are other ones when the first of them is.
sub dropped_by {
    my ($browser, $statement, @entries) = @_;
    my %before = map { $_ => ask($browser, "get $_") } @entries;
    sql($statement);
    wait_until('an entry is dropped', sub { ask($browser, "get $entries[0]") ne $before{ $entries[0] } });
    return [ grep { ask($browser, "get $_") ne $before{$_} } @entries ];
}

sub check_browsers {
    my ($program) = @_;
    local $ENV{PORT} = 0;
    sql("SELECT test_cache_invalidation('tasks')");    # what was sent before is not on its way any more
    my $server = start_program($program, "$examples/browser_server.js");
    my ($port) = next_line($server) =~ /^listening, browsers on port (\d+)$/ or diag($server->{errors});
    ok($port, 'browsers: the server listens') or return;
    my $browser = start_program($program, '-e', $browser_code, "$examples/browser_cache.js", "ws://127.0.0.1:$port");
    ok(is_live($browser), 'browsers: a browser is connected, and caches');
    my @all = ('tasks 1', 'tasks 2', 'projects 1');
    is_deeply(dropped_by($browser, "UPDATE tasks SET title = title || '.' WHERE id = 1", @all), ['tasks 1'], 'browsers: a change drops its entry');
    is_deeply(dropped_by($browser, 'TRUNCATE tasks', @all), [ 'tasks 1', 'tasks 2' ], 'browsers: a message without an id drops a resource');
    is_deeply(dropped_by($browser, 'SELECT reset_cache()', @all), \@all, 'browsers: a reset drops everything');

    ask_nothing($browser, 'hold', 'get projects 2');
    my $messages = ask($browser, 'messages');
    sql("UPDATE projects SET title = 'changed' WHERE id = 2");
    ok(wait_until('the message', sub { ask($browser, 'messages') > $messages }), 'browsers: a message comes during a read');
    my $late = ask($browser, 'finish');
    isnt(ask($browser, 'get projects 2'), $late, 'browsers: what was read then is not kept');

    my @listeners = split /\n/, sql("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT' AND pid <> pg_backend_pid()");
    is(scalar @listeners, 1, 'browsers: the server has one session');
    is_deeply(dropped_by($browser, "SELECT pg_terminate_backend($listeners[0])", @all), \@all, 'browsers: when it ends everything is dropped');
    ok(is_live($browser), 'browsers: the browser comes back');
    $browser->{run}->finish;
    $server->{run}->kill_kill;
}

# Tells it what it does not answer at once.
sub ask_nothing {
    my ($browser, @lines) = @_;
    $browser->{input} .= "$_\n" for @lines;
}

# ---- What the page says of its SQL --------------------------------------------------------------

# The SQL below a heading.
sub sql_below {
    my ($heading) = @_;
    my ($section) = slurp_file("$examples/../docs/recipes.md") =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms or die "no heading: $heading";
    return map { $_->{text} } grep { $_->{language} eq 'sql' } blocks_of($section);
}

sub check_load {
    my ($load) = sql_below('Loading much');
    sql(q(DROP TRIGGER cache ON tasks; TRUNCATE tasks;
          CREATE TRIGGER cache AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=task:{id}', 'key=tasks:list:{project_id}')));
    sql("SELECT test_cache_invalidation('tasks')");
    my $listener = CacheInvalidate::Listener->new($node, 'postgres');
    $redis->fill('task:other', 'tasks:list:0', 'tasks:list:9', 'tasks:list:other');
    sql($load);
    ok($redis->wait_gone('task:other', 'tasks:list:0', 'tasks:list:9'), 'a load deletes all keys of a template that gave many');
    ok($redis->has('tasks:list:other'), 'and of others those that it gave');
    my @messages = $listener->take_until('of the load', sub { $_[0]{table} eq 'tasks' });
    ok(!exists $messages[0]{message}{record_id}, 'it sends a message without an id');
    sql("SELECT test_cache_invalidation('tasks')");
    is(scalar(grep { $_->{message}{operation} ne 'TEST' } @messages, $listener->take), 1, 'and no other');
}

# What is said on these channels, each message without its time.
sub said_on {
    my ($listener, $number) = @_;
    my (%said, @all);
    wait_until('messages', sub { push @all, $listener->take; @all >= $number });
    for my $heard (@all) {
        ok(delete $heard->{message}{timestamp}, "$heard->{channel}: a message has its time");
        push @{ $said{ $heard->{channel} } }, $heard->{message};
    }
    return \%said;
}

sub check_migration {
    my ($old, $beside, undef, undef, $change_over, $back) = sql_below('From a PL/pgSQL trigger with pg_notify');
    my @changes = ("INSERT INTO orders VALUES (1, 5, 'new')", "UPDATE orders SET state = 'paid', customer_id = 6", 'DELETE FROM orders');
    sql($old . $beside);
    my $listener = CacheInvalidate::Listener->new($node, 'postgres', 'orders', 'orders_new');
    sql($_) for @changes;
    my $said = said_on($listener, 6);
    my @expected = map { { resource => 'order', id => 1, action => $_->[0], customerId => $_->[1] } } [ 'INSERT', 5 ], [ 'UPDATE', 6 ], [ 'DELETE', 6 ];
    is_deeply($said, { orders => \@expected, orders_new => \@expected }, 'beside the old trigger ours says the same');
    $redis->fill('order:1', 'orders:5', 'orders:6');
    sql($change_over);
    sql($_) for @changes;
    is_deeply(said_on($listener, 3), { orders => \@expected }, 'changed over, it says it on the old channel');
    ok($redis->wait_gone('order:1', 'orders:5', 'orders:6'), 'and deletes keys');
    sql($back);
    sql($_) for @changes;
    is_deeply(said_on($listener, 3), { orders => \@expected }, 'and back');
}

# -------------------------------------------------------------------------------------------------

for my $program (@programs) {
  SKIP: {
        skip "$program->{name}: its packages are not there", 1 unless $program->{runs};
        check_reading($program);
    }
}
SKIP: {
    my $program = node_with(qw(pg ws));
    skip 'browsers: the packages pg and ws are not there', 1 unless $program;
    check_browsers($program);
}
check_migration();
check_load();
sql("TRUNCATE tasks; INSERT INTO tasks VALUES (3, 1, 'title3')");
# Last, since a Redis that was away is sent the deletes of some time again.
check_without_redis($_) for grep { $_->{runs} } @programs;

$node->stop;
done_testing();
