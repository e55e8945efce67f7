# Messages by PUBLISH: behind the deletes of all servers, on the channel that the server's template names, only where the table's
# owner may; again for subscribers of a server that was away; and resets.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Subscriber;
use CacheInvalidate::Wait;
use CacheInvalidate::Wire;

# No message is told before its keys are deleted, and once more then.
my $node = new_node('main', 'cache_invalidate.signal_timeout' => '1min');
$node->start;
my @safe = ('appendonly yes', 'appendfsync always');
my ($cache, $other) = map { CacheInvalidate::Redis->new($_, config => \@safe) } qw(cache other);
create_items($node, 'postgres', $cache, rows => 3000);
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $other->url }', key_prefix 'app:', publish_channel 'changes:{\$resource}:{\$operation}')");
$other->fill(map { "app:item:$_" } 1 .. 3000);
wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');
ok(wait_until('up', sub { sql("SELECT count(*) FROM cache_invalidation_targets WHERE state = 'up'") == 2 }), 'both servers are up');

sub sql { return $node->safe_psql('postgres', @_) }
sub change { sql("UPDATE item SET version = version + 1 WHERE id = $_[0]") }
sub record { my ($id) = @_; return sub { ($_[0]{record_id} // '') eq $id } }

# --- As it should be

my $subscriber = CacheInvalidate::Subscriber->new($other, 'app:*');
change(1);
my ($heard) = $subscriber->take_until(record(1));
ok($heard, 'a message is published');
is($heard->{channel}, 'app:changes:item:UPDATE', 'on the channel of the template, behind the prefix');
is($cache->has('item:1') + $other->has('app:item:1'), 0, 'after both servers deleted the key');
my ($told) = $listener->take_until('NOTIFY', record(1));
is_deeply($heard->{message}, $told->{message}, 'it is what NOTIFY says');
ok(wait_until('counted', sub { target($node, 'postgres', 'published', 'other') == 1 }), 'it is counted');
is(target($node, 'postgres', 'published', 'cache'), 0, 'a server without a channel publishes nothing');
sql(q(ALTER SYSTEM SET cache_invalidate.notify_channel = ''));
$node->reload;
wait_until('off', sub { sql('SHOW cache_invalidate.notify_channel') eq '' });
change(2);
ok($subscriber->take_until(record(2)), 'also without a channel for NOTIFY');
sql('ALTER SYSTEM RESET cache_invalidate.notify_channel');
$node->reload;
wait_until('on', sub { sql('SHOW cache_invalidate.notify_channel') ne '' });

# --- Where the table's owner may

sql("CREATE ROLE clerk; CREATE TABLE note (id int PRIMARY KEY); ALTER TABLE note OWNER TO clerk; INSERT INTO note VALUES (1);
     CREATE TRIGGER cache_invalidation_note AFTER UPDATE OR DELETE ON note FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();");
sql('DELETE FROM note');
ok(scalar $listener->take_until('NOTIFY', sub { $_[0]{table} eq 'note' }), 'a table of somebody without rights on the server is heard by NOTIFY');
change(3);
my @heard = $subscriber->take_until(record(3));
is(scalar(grep { $_->{message}{table} eq 'note' } @heard), 0, 'and not published there');

# --- Very many: none is lost, in their order

$other->command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
sql('UPDATE item SET version = version + 1 WHERE id > 10');
@heard = $subscriber->take_until(record(3000));
my %ids = map { ($_->{message}{record_id} => 1) } @heard;
is(scalar(grep { !$ids{$_} } 11 .. 3000), 0, 'each of very many is published');

# --- The server is away: when it is back, its subscribers hear what they missed

$other->kill9;
ok(wait_until('down', sub { target($node, 'postgres', 'state', 'other') eq 'down' }), 'the server is down');
change($_) for 4 .. 6;
ok(scalar $listener->take_until('NOTIFY', record(6)), 'NOTIFY goes on');
# The worker comes back to it when a subscriber is there already.
sql(q(SELECT pause_cache_invalidation('other')));
ok(wait_until('paused', sub { target($node, 'postgres', 'state', 'other') eq 'paused' }), 'nothing is sent there');
$other->start;
$subscriber = CacheInvalidate::Subscriber->new($other, 'app:*');
sql(q(SELECT resume_cache_invalidation('other')));
@heard = $subscriber->take_until(record(6));
like(join(' ', map { $_->{message}{record_id} } @heard), qr/\b4 5 6$/, 'when it is back the messages are published');
is($other->has("app:item:$_"), 0, "after the delete of key $_") for 4 .. 6;

# --- The connection breaks, and the server remains: what it has not answered may not have reached it

my $wire = CacheInvalidate::Wire->new($other);
sql("CREATE TABLE told (id int PRIMARY KEY); CREATE TRIGGER cache_invalidation_told AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
     CREATE TABLE mine (id int PRIMARY KEY); CREATE TRIGGER cache_invalidation_mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION
       notify_cache_invalidation('key=mine:{id}', 'server=cache', 'channel=');
     ALTER SERVER other OPTIONS (SET url '${\ $wire->url }')");
change(7);
ok($subscriber->take_until(record(7)), 'it is published by way of a wire');
my $notified = stat_of($node, 'postgres', 'notifications');
$wire->stall;
sql('INSERT INTO told VALUES (4000)');    # no key, so nothing waits for an answer
ok(wait_until('sent', sub { stat_of($node, 'postgres', 'notifications') > $notified }), 'a message is sent into the wire');
# What the server owes is only the message: that it has deleted all is noted meanwhile.
sql('INSERT INTO mine VALUES (1)');
ok(wait_until('noted', sub { is_noted($node, 'postgres') }), 'later changes are noted');
$wire->cut;
ok(wait_until('down', sub { target($node, 'postgres', 'state', 'other') eq 'down' }), 'which breaks');
$wire->mend;
ok($subscriber->take_until(record(4000)), 'it is published again by the next one');

# --- A reset

sql(q(SELECT reset_cache('because')));
@heard = $subscriber->take_until(sub { ($_[0]{type} // '') eq 'reset' });
is($heard[-1]{message}{reason}, 'because', 'a reset is published');
is($heard[-1]{message}{operation}, 'RESET', 'as such');
is($other->command('DBSIZE'), 0, 'after all keys are gone');
done_testing();
