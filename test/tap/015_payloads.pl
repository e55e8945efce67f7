# Messages that argument "payload" describes, from a real worker to a listener: after the keys are gone, in commit order,
# folded, by way of the journal after a crash, always ASCII where the database is not UTF-8, and never too long.
use strict;
use warnings;
use utf8;

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
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'");

my @texts;  # as they came, of what receive() returned

# What came up to the one with this id.
sub receive {
    my ($listener, $what, $id) = @_;
    my @all = $listener->take_until($what, sub { ($_[0]{id} // '') eq $id });
    @texts = map { $_->{text} } @all;
    return map { $_->{message} } @all;
}

# --- A message as the application wants it, after the keys of the same change

create_items($node, 'app', $redis, arguments => q('resource=task', 'key=item:{id}', 'channel=tasks',
    'payload={"resource":"{$resource}","id":"{$id}","action":"{$operation}","title":"{title}","meta":{"key":"item:{id}","v":["{version}"]},"timestamp":"{$timestamp}"}'));
my $listener = CacheInvalidate::Listener->new($node, 'app', 'tasks');
$node->safe_psql('app', q(UPDATE item SET title = 'say "hi" \ there', version = 5 WHERE id = 3));
receive($listener, 'the first', 3);
ok(!$redis->has('item:3'), 'when the message arrives, the key is deleted');
ok($redis->has('item:4'), 'the others are kept');
like($texts[0], qr/^\{"resource":"task","id":"3","action":"UPDATE","title":"say \\"hi\\" \\\\ there","meta":\{"key":"item:3","v":\[5\]\},"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"\}$/,
    'it is what the argument says');

$node->safe_psql('app', q(
    BEGIN; UPDATE item SET version = 6 WHERE id = 4; UPDATE item SET version = 7 WHERE id = 4; DELETE FROM item WHERE id = 5;
    SAVEPOINT s; UPDATE item SET version = 99 WHERE id = 6; ROLLBACK TO s; COMMIT;
    UPDATE item SET version = 8 WHERE id = 4; UPDATE item SET version = 1 WHERE id = 7));
is_deeply([ map { "$_->{action} $_->{id} $_->{meta}{v}[0]" } receive($listener, 'of two transactions', 7) ],
    [ 'UPDATE 4 7', 'DELETE 5 0', 'UPDATE 4 8', 'UPDATE 7 1' ], 'once a record and transaction, with the newest values, in commit order');

# --- Equal ones fold, also those that come by way of the journal

# A worker that starts anew is sure to know the setting; when messages may go, it is enough that it will.
sub start_holding_messages {
    configure($node, 'cache_invalidate.batch_window' => '60s');
    $node->start;
    return wait_for_worker($node, 'app');
}
sub release_messages {
    configure($node, 'cache_invalidate.batch_window' => '0');
    $node->reload;
}

$node->safe_psql('app', q(CREATE TABLE note (id int PRIMARY KEY, body text); INSERT INTO note VALUES (1, 'a'), (2, 'b'), (103, 'c'), (104, 'd');
    CREATE TRIGGER cache AFTER UPDATE ON note FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=tasks', 'unchanged=send',
      'payload={"id":"{$id}","body":"{body}","batch":"{$batch_id}"}')));
$listener->quit;
$node->stop;
start_holding_messages();
$listener = CacheInvalidate::Listener->new($node, 'app', 'tasks');
$node->safe_psql('app', "UPDATE note SET body = 'x' WHERE id = 1") for 1 .. 2;
my $newest = $node->safe_psql('app', "BEGIN; UPDATE note SET body = 'x' WHERE id = 1; SELECT pg_current_xact_id(); COMMIT");
$node->safe_psql('app', "UPDATE note SET body = 'y' WHERE id = 1; UPDATE note SET body = 'z' WHERE id = 2");
ok(wait_until('the worker has taken them', sub { stat_of($node, 'app', 'messages') >= 5 }), 'the worker has taken five messages');
release_messages();
my @folded = receive($listener, 'folded', 2);
is_deeply([ map { "$_->{id} $_->{body}" } @folded ], [ '1 x', '1 y', '2 z' ], 'equal messages are sent once');
is($folded[0]{batch}, $newest, 'as the newest');

$listener->quit;
$node->stop;
start_holding_messages();
$node->safe_psql('app', "UPDATE note SET body = 'late' WHERE id > 100");
$node->stop('immediate');
$node->start;
$listener = CacheInvalidate::Listener->new($node, 'app', 'tasks');
release_messages();
# what was sent in the last second may come again
is_deeply([ map { "$_->{id} $_->{body}" } grep { $_->{id} > 100 } receive($listener, 'after a crash', 104) ], [ '103 late', '104 late' ],
    'after a crash they come from the journal');

# --- What is too long loses its columns; in a database that is not UTF-8 escapes count

sub unicode_sql {
    my ($database, $sql) = @_;
    utf8::encode($sql);
    return $node->safe_psql($database, "SET client_encoding = 'UTF8'; $sql");
}

my $payload = q('payload={"größe \u4e2d":"\u00fc \ud83d\ude00","table":"{$table}","id":"{$id}","body":"{body}","list":[{"x":"body: {body}"}]}');
for my $database (qw(app latin)) {
    my $is_latin = $database eq 'latin';
    $node->safe_psql($database, 'CREATE EXTENSION IF NOT EXISTS cache_invalidate');
    ok(wait_for_worker($node, $database), "$database has a worker");
    unicode_sql($database, qq(
        CREATE TABLE "straße" (id text PRIMARY KEY, body text);
        CREATE TRIGGER cache AFTER INSERT ON "straße" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=long', $payload)));
    my $long = CacheInvalidate::Listener->new($node, $database, 'long');
    unicode_sql($database, qq(
        INSERT INTO "straße" VALUES ('kürzer', 'grün'), ('lang', repeat('ü', 1000)), (repeat('i', 9000), 'x'), ('last', NULL)));
    my @all = receive($long, 'the last', 'last');
    my %fixed = ("größe 中" => "ü 😀", table => 'straße');
    my %body = map { my $body = $_; $body => { body => $body, list => [ { x => "body: $body" } ] } } 'grün', 'ü' x 1000;
    # psql writes what it received in the database's encoding
    unless ($is_latin) { utf8::decode($_) for @texts }
    my @decoded = map { JSON::PP->new->decode($_) } @texts;
    is_deeply(\@decoded,
        [ { %fixed, id => 'kürzer', %{ $body{'grün'} } }, { %fixed, id => 'lang', $is_latin ? () : %{ $body{ 'ü' x 1000 } } }, \%fixed,
            { %fixed, id => 'last', body => undef, list => [ { x => 'body: ' } ] } ],
        "$database: what does not fit is left out");
    is(scalar(grep { /[^\x20-\x7e]/ } @texts), $is_latin ? 0 : 4, $is_latin ? 'in a LATIN1 database messages are ASCII' : 'in a UTF-8 database they are UTF-8');
    $long->quit;
}

# --- A rule that has got a problem sends the ready shape, and says why

my $name = 'n' x 63;
my $tables = '{$table} ' x 100;
$node->safe_psql('app', qq(CREATE TABLE renamed (id int PRIMARY KEY);
    CREATE TRIGGER cache AFTER INSERT ON renamed FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('channel=tasks',
      'payload={"id":"{\$id}","tables":"$tables"}')));
$node->safe_psql('app', "INSERT INTO renamed VALUES (21)");
is((receive($listener, 'before', 21))[-1]{tables}, 'renamed ' x 100, 'a table with a short name');
$node->safe_psql('app', "ALTER TABLE renamed RENAME TO $name; INSERT INTO $name VALUES (22)");
my ($ready) = $listener->take_until('after', sub { ($_[0]{record_id} // '') eq '22' });
is($ready->{message}{table}, $name, 'with a long one the payload is too long, and the message has the ready shape');
ok(wait_until('the error log', sub {
    $node->safe_psql('app', "SELECT error_message FROM trigger_error_log WHERE table_name = '$name'") eq 'argument "payload" is too long';
}), 'the error log says why');

$listener->quit;
$node->stop;
done_testing();
