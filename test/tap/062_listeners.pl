# Messages that nobody can hear are not sent: who listens, and since when, must be known for sure.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# No message is told before its keys are deleted, and once more then.
my $node = new_node('main', 'cache_invalidate.signal_timeout' => '1min');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 1000);
wait_for_worker($node, 'postgres');
my ($next, $id) = (0);

sub sql { return $node->safe_psql('postgres', @_) }

# Changes a row, and waits until its key is gone: its message, if any, is on its way then.
sub change {
    my $id = ++$next;
    sql("UPDATE item SET version = version + 1 WHERE id = $id");
    ok($redis->wait_gone("item:$id"), "item $id is deleted");
    return $id;
}

# What was named and what was sent.
sub counts { return sql('SELECT messages, notifications FROM cache_invalidation_stats') }

sub is_told {
    my ($listener, $why) = @_;
    my $id = change();
    my @heard = $listener->take_until("item $id", sub { ($_[0]{record_id} // '') eq $id });
    return is(scalar @heard, 1, $why);
}

change();
is(counts(), '1|0', 'without anybody who listens nothing is sent');

sql('CREATE DATABASE other');
my $elsewhere = $node->background_psql('other');
$elsewhere->query_safe('LISTEN cache_invalidation');
change();
is(counts(), '2|0', 'nor for who listens in another database');
$elsewhere->quit;

my $listener = CacheInvalidate::Listener->new($node, 'postgres');
is_told($listener, 'who listens is told');
$listener->quit;
ok(wait_until('he is gone', sub { sql(q(SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT 1')) == 0 }), 'he leaves');
my $sent = counts();
change();
isnt(counts(), $sent, 'a message was named since');
is((split /\|/, counts())[1], (split /\|/, $sent)[1], 'and not sent');

# In a transaction, in a function, by a name of its own.
my $late = $node->background_psql('postgres');
$late->query_safe('BEGIN');
$late->query_safe('LISTEN cache_invalidation');
my $before = change();
$late->query_safe('COMMIT');
my $after = change();
my $output = '';
ok(wait_until('heard', sub { $output .= $late->query_safe('SELECT 1'); $output =~ /"record_id":"$after"/ }), 'who has committed his LISTEN is told');
$late->quit;
my $function = $node->background_psql('postgres');
$function->query_safe(q(DO $$ BEGIN EXECUTE 'LISTEN ' || quote_ident('cache_invalidation'); END $$));
$after = change();
$output = '';
ok(wait_until('heard', sub { $output .= $function->query_safe('SELECT 1'); $output =~ /"record_id":"$after"/ }), 'so is who did that in a block of code');
$function->quit;

# What waits, because of a pause, is for those who listen when it leaves.
sql('SELECT pause_cache_invalidation()');
$id = ++$next;
sql("UPDATE item SET version = version + 1 WHERE id = $id");
ok(wait_until('taken', sub { stat_of($node, 'postgres', 'ring_used_bytes') == 0 }), 'a change waits while all is paused');
$listener = CacheInvalidate::Listener->new($node, 'postgres');
sql('SELECT resume_cache_invalidation()');
my @heard = $listener->take_until("item $id", sub { ($_[0]{record_id} // '') eq $id });
is(scalar @heard, 1, 'who listens when it goes on is told');
$listener->quit;

# A worker that is new knows who listens already.
$listener = CacheInvalidate::Listener->new($node, 'postgres');
my $worker = wait_for_worker($node, 'postgres');
sql("SELECT pg_terminate_backend($worker)");
ok(wait_for_worker($node, 'postgres', $worker), 'another worker is there');
$id = change();
@heard = $listener->take_until("item $id", sub { ($_[0]{record_id} // '') eq $id });
is($heard[-1]{message}{record_id}, $id, 'and tells who listened before it');
$listener->quit;
$node->stop;
done_testing();
