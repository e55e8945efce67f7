# Random transactions on the tables of differential.sql, as scripts for psql. What a script says depends on the seed only;
# what becomes of it depends on the other sessions too.
package CacheInvalidate::Workload;

use strict;
use warnings;

use constant IDS      => 100;     # of rows that all sessions share, unless the option `ids` says fewer
use constant OWN_IDS  => 1000;    # session N has 1000 * N and up for changes in bulk
use constant REGIONS  => 4;
use constant PROJECTS => 6;

my $ids;
our @STATUSES = ('new', 'in work', 'a:b', 'ü', '*', '[q]', 'b\\c', 'x"y');
our @DAYS     = ('2024-02-29', '1999-12-31', 'infinity');
our @PRICES   = ('0', '1.5', '1.50', '-0.125');
my @SESSION_STYLES = ('ISO, MDY', 'German, DMY', 'SQL, DMY', 'Postgres, MDY');

# new(seed => N, session => 1.., version => of the server, dir => for files to COPY, and, all optional: bulk => the chance that a
# statement changes many rows, truncate => the chance that it is a TRUNCATE, ids => how many rows all share, memory => max_change_set_memory)
sub new {
    my ($class, %options) = @_;
    my $self = bless { bulk => 0, truncate => 0, files => 0, prepared => 0, %options }, $class;
    $self->{weights} = _weights($self->{version});
    return $self;
}

# A script of so many transactions.
sub script {
    my ($self, $transactions) = @_;
    $ids = $self->{ids} // IDS;
    srand $self->{seed} * 1009 + $self->{session};
    my $n = $self->{session};
    my @lines = (
        '\set VERBOSITY verbose', 'SET client_min_messages = error',
        # No deadlock lasts, and nobody hangs.
        "SET deadlock_timeout = '10ms'", "SET lock_timeout = '30ms'", "SET statement_timeout = '60s'",
        'SET synchronous_commit = off',
        # Every other session goes on after an error: each of its statements has a savepoint.
        '\set ON_ERROR_ROLLBACK ' . ($n % 2 ? 'on' : 'off'),
        "SET DateStyle = '$SESSION_STYLES[$n % @SESSION_STYLES]'",
        ($self->{memory} ? "SET cache_invalidate.max_change_set_memory = '$self->{memory}'" : ()));
    push @lines, $self->_transaction for 1 .. $transactions;
    return join '', map { /^\\/ ? "$_\n" : "$_;\n" } @lines;
}

# A script that ends the worker so many times, each time when it has started.
sub worker_ends {
    my ($times) = @_;
    return join '', map { "$_\n" } '\set VERBOSITY verbose', "SET statement_timeout = '60s';", ('CALL end_worker();') x $times;
}

# The values that a column can come to have, as texts.
sub values_of {
    my ($table, $column, $sessions) = @_;
    return @STATUSES            if $column eq 'status';
    return @DAYS                if $column eq 'due';
    return (@PRICES, qw(0.000 1.500)) if $column eq 'price';
    return 0 .. PROJECTS - 1    if $column eq 'project';
    return 1 .. REGIONS         if $column eq 'region';
    return ('with', 'leaf', map { "kind $_" } 0 .. 2) if $column eq 'kind';
    my $own = $table eq 'item' ? $sessions : 0;
    return (0 .. IDS + 10, map { OWN_IDS * $_ .. OWN_IDS * ($_ + 1) - 1 } 1 .. $own);
}

# --- Chance

sub _below  { return int rand $_[0] }
sub _one_of { return $_[ _below(scalar @_) ] }
sub _chance { return rand() < $_[0] }
sub _literal { return "'" . $_[0] =~ s/'/''/gr . "'" }

# A statement of a kind drawn by weight.
sub _statement {
    my ($self) = @_;
    return $self->_truncate if _chance($self->{truncate});
    return $self->_bulk     if _chance($self->{bulk});
    my $weights = $self->{weights};
    my $draw = _below($weights->[-1][0]);
    for my $kind (@$weights) {
        return $kind->[1]->($self) if $draw < $kind->[0];
    }
}

sub _weights {
    my ($version) = @_;
    my @kinds = (
        [ 4, \&_insert_items ], [ 4, \&_upsert ], [ 8, \&_update_items ], [ 3, \&_change_nothing ], [ 3, \&_change_id ], [ 4, \&_delete_items ],
        [ 2, \&_copy ], [ 4, \&_with ], [ 5, \&_insert_notes ], [ 4, \&_update_notes ], [ 2, \&_delete_notes ], [ 5, \&_insert_events ],
        [ 5, \&_move_events ], [ 3, \&_update_events ], [ 2, \&_delete_events ], [ 2, \&_leaf ], [ 2, \&_fail ], [ 2, \&_attempt ],
        ($version >= 15 ? ([ 4, \&_merge_items ], [ 2, \&_merge_events ]) : ()),
        ($version >= 17 ? [ 2, \&_merge_by_source ] : ()));
    my $sum = 0;
    $_->[0] = $sum += $_->[0] for @kinds;
    return \@kinds;
}

# --- Transactions

sub _transaction {
    my ($self) = @_;
    my $draw = rand;
    return $self->_statement if $draw < 0.2;
    return $self->_call      if $draw < 0.28;
    my $begin = 'BEGIN' . (_chance(0.1) ? ' ISOLATION LEVEL ' . _one_of('REPEATABLE READ', 'SERIALIZABLE') : '');
    return ($begin, $self->_block(1), $self->_end);
}

sub _end {
    my ($self) = @_;
    my $draw = rand;
    return 'COMMIT'   if $draw < 0.65;
    return 'ROLLBACK' if $draw < 0.8;
    my $name = "'s$self->{session}_" . ++$self->{prepared} . "'";
    return ("SELECT 'prepares ' || pg_current_xact_id()", "PREPARE TRANSACTION $name", (_chance(0.3) ? $self->_statement : ()),
        ($draw < 0.95 ? 'COMMIT' : 'ROLLBACK') . " PREPARED $name");
}

sub _block {
    my ($self, $depth) = @_;
    my @lines;
    for (0 .. _below(4)) {
        my $draw = rand;
        push @lines,
            $draw < 0.35 && $depth < 7 ? $self->_savepoint($depth)
          : $draw < 0.40 ? $self->_cursor
          :                $self->_statement;
    }
    return @lines;
}

# A savepoint that is released, rolled back, rolled back and gone on with, left open, or one of an outer level rolled back to.
# The names of a level are the same, so that some hide others.
sub _savepoint {
    my ($self, $depth) = @_;
    my @lines = ("SAVEPOINT s$depth", $self->_block($depth + 1));
    my $draw = rand;
    return (@lines, "RELEASE s$depth") if $draw < 0.4;
    return (@lines, "ROLLBACK TO s$depth", "RELEASE s$depth") if $draw < 0.65;
    return (@lines, "ROLLBACK TO s$depth", $self->_block($depth + 1), "RELEASE s$depth") if $draw < 0.85;
    return @lines if $draw < 0.93;
    return (@lines, 'ROLLBACK TO s' . (1 + _below($depth)));
}

# A procedure that ends transactions.
sub _call {
    my ($self) = @_;
    my @statements = map { $self->_statement } 0 .. 1 + _below(4);
    return 'CALL proceed(' . _array(@statements) . ", '" . join('', map { _one_of(qw(c c r -)) } @statements) . "')";
}

# One EXCEPTION block, maybe with others in it.
sub _attempt {
    my ($self, $depth) = @_;
    $depth //= 1;
    my @statements = map { $depth < 3 && _chance(0.3) ? $self->_attempt($depth + 1) : $self->_statement } 0 .. _below(3);
    return 'SELECT attempt(' . _array(@statements) . ', ' . (_chance(0.4) ? 'true' : 'false') . ')';
}

sub _array { return 'ARRAY[' . join(', ', map { _literal($_) } @_) . ']' }

sub _cursor {
    my ($self) = @_;
    my ($first) = _range();
    return ("DECLARE c CURSOR FOR SELECT * FROM item WHERE id >= $first ORDER BY id LIMIT 3 FOR UPDATE",
        'FETCH c', 'UPDATE item SET ' . _assignments() . ' WHERE CURRENT OF c',
        'FETCH c', (_chance(0.5) ? 'DELETE FROM item' : 'UPDATE item SET title = title') . ' WHERE CURRENT OF c', 'CLOSE c');
}

# --- Statements

sub _range {
    my $first = 1 + _below($ids);
    return ($first, $first + _below(4));
}

sub _project { return _chance(0.2) ? 'NULL::int' : _below(PROJECTS) }

sub _assignments {
    my @all = (
        'project = ' . _project(),
        'status = ' . _literal(_one_of(@STATUSES)),
        "title = 'title " . _below(1000) . "'",
        "due = '" . _one_of(@DAYS) . "'",
        'price = ' . _one_of(@PRICES));
    my @some = grep { _chance(0.4) } @all;
    return join ', ', @some ? @some : _one_of(@all);
}

# The columns of a new item, and what fills them.
my $item_columns = '(id, project, status, title, due, price)';

sub _item {
    my ($id) = @_;
    my $title = _chance(0.03) ? 'suppressed' : 'title ' . _below(1000);
    return join ', ', $id, _project(), _literal(_one_of(@STATUSES)), "'$title'", "'" . _one_of(@DAYS) . "'::date", _one_of(@PRICES);
}

sub _items {
    my ($first, $last) = @_;
    return join ', ', map { '(' . _item($_) . ')' } $first .. $last;
}

sub _insert_items {
    my ($first, $last) = _range();
    return "INSERT INTO item $item_columns VALUES " . _items($first, $last) . (_chance(0.8) ? ' ON CONFLICT DO NOTHING' : '');
}

sub _upsert {
    my ($first, $last) = _range();
    my $where = _chance(0.3) ? ' WHERE item.project IS NULL' : '';
    return "INSERT INTO item $item_columns VALUES " . _items($first, $last) . ' ON CONFLICT (id) DO UPDATE SET ' . _assignments() . $where;
}

sub _update_items {
    my ($first, $last) = _range();
    return 'UPDATE item SET ' . _assignments() . " WHERE id BETWEEN $first AND $last";
}

# The last of them changes the stored value only.
sub _change_nothing {
    my ($first, $last) = _range();
    my $set = _one_of('status = status', 'title = title, project = project', 'id = id', 'price = round(price, 3)');
    return "UPDATE item SET $set WHERE id BETWEEN $first AND $last";
}

sub _change_id {
    my ($from, $to) = map { 1 + _below($ids) } 1 .. 2;
    return "UPDATE note SET id = $to WHERE id = $from AND NOT EXISTS (SELECT FROM note WHERE id = $to)" if _chance(0.3);
    return "UPDATE item SET id = $to" . (_chance(0.5) ? ', ' . _assignments() : '')
      . " WHERE id = $from" . (_chance(0.8) ? " AND NOT EXISTS (SELECT FROM item WHERE id = $to)" : '');
}

sub _delete_items {
    my ($first, $last) = _range();
    return "DELETE FROM item WHERE id BETWEEN $first AND $last";
}

sub _copy {
    my ($self) = @_;
    my ($first, $last) = _range();
    my $name = "$self->{dir}/copy_$self->{session}_" . ++$self->{files};
    open my $file, '>', $name or die "$name: $!";
    for my $id ($first .. $last) {
        my $status = _one_of(@STATUSES) =~ s/\\/\\\\/gr;
        print $file join("\t", $id, _project() =~ s/NULL.*/\\N/r, $status, 'copied', '\\N', _one_of(@PRICES)), "\n";
    }
    close $file;
    # so that most of them find room
    return "WITH gone AS (DELETE FROM item WHERE id BETWEEN $first AND $last RETURNING id) SELECT count(*) FROM gone; "
      . "COPY item $item_columns FROM '$name'";
}

sub _with {
    my ($first, $last) = _range();
    my $between = "id BETWEEN $first AND $last";
    return _one_of(
        "WITH gone AS (DELETE FROM note WHERE $between RETURNING *) UPDATE item SET title = 'lost ' || gone.id FROM gone WHERE item.id = gone.item",
        "WITH gone AS (DELETE FROM item WHERE $between RETURNING *) INSERT INTO item SELECT * FROM gone WHERE id % 2 = 0",
        "WITH changed AS (UPDATE item SET project = " . _project() . " WHERE $between RETURNING id)"
          . " INSERT INTO event (id, region, kind) SELECT id, 1 + id % 4, 'with' FROM changed ON CONFLICT DO NOTHING",
        "WITH moved AS (UPDATE event SET region = 1 + region % 4 WHERE $between RETURNING id) DELETE FROM note USING moved WHERE note.id = moved.id");
}

sub _body { return "'" . (_chance(0.1) ? 'late' : _chance(0.03) ? 'too late' : 'body ' . _below(100)) . "'" }

sub _insert_notes {
    my ($first, $last) = _range();
    my $id = 1 + _below($ids);
    return "INSERT INTO note (id, item, seen, body) SELECT $id + id - $first, id, nullif(id, " . _below($ids) . '), ' . _body()
      . " FROM item WHERE id BETWEEN $first AND $last ON CONFLICT (id) DO " . _one_of('NOTHING', 'UPDATE SET item = excluded.item');
}

sub _update_notes {
    my ($first, $last) = _range();
    return "UPDATE note SET body = " . _body() . " WHERE id BETWEEN $first AND $last" if _chance(0.5);
    return "UPDATE note SET seen = item" . (_chance(0.5) ? ', item = seen' : '') . " WHERE id BETWEEN $first AND $last";
}

sub _delete_notes {
    my ($first, $last) = _range();
    return "DELETE FROM note WHERE id BETWEEN $first AND $last";
}

sub _insert_events {
    my ($first, $last) = _range();
    my $values = join ', ', map { "($_, " . (1 + _below(REGIONS)) . ", 'kind " . _below(3) . "')" } $first .. $last;
    return "INSERT INTO event (id, region, kind) VALUES $values ON CONFLICT (id, region) DO "
      . _one_of('NOTHING', 'UPDATE SET kind = excluded.kind');
}

# To another partition.
sub _move_events {
    my ($first, $last) = _range();
    return 'UPDATE event SET region = ' . _one_of('1 + region % 4', 1 + _below(REGIONS)) . " WHERE id BETWEEN $first AND $last";
}

sub _update_events {
    my ($first, $last) = _range();
    return 'UPDATE event SET ' . _one_of("kind = 'kind " . _below(3) . "'", 'kind = kind', "id = $last") . " WHERE id BETWEEN $first AND $last";
}

sub _delete_events {
    my ($first, $last) = _range();
    return "DELETE FROM event WHERE id BETWEEN $first AND $last";
}

# Directly in a partition; the last leaves it, which fails.
sub _leaf {
    my ($first, $last) = _range();
    my $where = "WHERE id BETWEEN $first AND $last";
    return _one_of("UPDATE event_1 SET kind = 'leaf' $where", "DELETE FROM event_3 $where", "UPDATE event_4_odd SET kind = 'leaf' $where",
        "UPDATE event_4 SET id = id + 1 $where", "INSERT INTO event_3 (id, region, kind) VALUES ($first, 3, 'leaf')",
        "UPDATE event_2 SET region = 1 $where");
}

# Fails when a part of its rows has been captured, or before any has.
sub _fail {
    my ($first, $last) = _range();
    return _one_of("UPDATE item SET title = CASE id WHEN $last THEN 'refused' ELSE 'before' END WHERE id BETWEEN $first AND $last",
        "UPDATE item SET project = 0 / (id - $last) WHERE id BETWEEN $first AND $last");
}

sub _merge_items {
    my ($first, $last) = _range();
    return "MERGE INTO item USING (VALUES " . _items($first, $last) . ") AS new $item_columns ON item.id = new.id"
      . ' WHEN MATCHED AND item.project = ' . _below(PROJECTS) . ' THEN DELETE WHEN MATCHED THEN UPDATE SET ' . _assignments()
      . " WHEN NOT MATCHED THEN INSERT $item_columns VALUES (new.id, new.project, new.status, new.title, new.due, new.price)";
}

sub _merge_events {
    my ($first, $last) = _range();
    return "MERGE INTO event USING generate_series($first, $last) AS n ON event.id = n"
      . ' WHEN MATCHED AND region = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET region = 1 + region % 4'
      . ' WHEN NOT MATCHED THEN INSERT (id, region, kind) VALUES (n, 1 + n % 4, NULL)';
}

sub _merge_by_source {
    my ($first, $last) = _range();
    return "WITH target AS (MERGE INTO item USING generate_series($first, $last) AS n ON item.id = n"
      . " WHEN NOT MATCHED BY SOURCE AND item.id BETWEEN $first AND $last + 2 THEN DELETE WHEN MATCHED THEN UPDATE SET " . _assignments()
      . ' RETURNING merge_action()) SELECT count(*) FROM target';
}

# Many rows that belong to this session alone.
sub _bulk {
    my ($self) = @_;
    my $own = OWN_IDS * $self->{session};
    my $first = $own + _below(100);
    my $last = $first + 50 + _below(150);
    my $where = "WHERE id BETWEEN $first AND $last";
    return _one_of(
        "INSERT INTO item $item_columns SELECT n, n % " . PROJECTS . ", 'new', repeat('x', 1200), NULL, 0 FROM generate_series($first, $last) n"
          . ' ON CONFLICT (id) DO UPDATE SET project = excluded.project',
        "UPDATE item SET title = repeat('y', 1200), project = " . _project() . " $where",
        "DELETE FROM item $where",
        "UPDATE item SET id = id + 500 $where AND NOT EXISTS (SELECT FROM item i WHERE i.id = item.id + 500)",
        "UPDATE item SET id = id - 500 WHERE id BETWEEN $first + 500 AND $last + 500"
          . ' AND NOT EXISTS (SELECT FROM item i WHERE i.id = item.id - 500)');
}

sub _truncate {
    return 'TRUNCATE ' . _one_of('item CASCADE', 'note', 'event', 'event_2', 'tally', 'note, tally');
}

1;
