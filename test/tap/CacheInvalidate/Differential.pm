# What a set of transactions must have made stale, worked out the simple way: from a side table that a PL/pgSQL trigger
# writes and that rolls back with the changes. Besides the templates' text nothing is shared with the extension.
package CacheInvalidate::Differential;

use strict;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);

use CacheInvalidate::Workload;

our @EXPORT_OK = qw(create_tables possible_keys recorded_changes effects_of fold journal_differences);

# Whether an UPDATE that leaves every column's image as it was sends keys and messages.
use constant UNCHANGED_UPDATE_IS_SENT => 0;

# The rules of the extension's triggers. `exact`: the id is the primary key, so it names one record.
my @rules = (
    {   table   => 'item',
        keys    => [ 'item:{id}', 'items:{project}', 'items:{project}:{status}', 'due {due}', 'price:{price}', 'every item' ],
        patterns => ['search:{status}:*'],
        id      => '{id}',
        exact   => 1,
        fields  => [ 'stamp', 'title' ] },
    {   table    => 'item',
        resource => 'board',
        keys     => ['board:{project}'],
        id       => '{project}',
        fields   => ['status'],
        columns  => [ 'project', 'status' ],
        channel  => 'boards' },
    { table => 'note', keys => [ 'note:{id}', 'item:{item}:notes', 'seen:{seen}' ], id => '{id}', exact => 1, fields => ['stamp'] },
    { table => 'note', resource => 'pin', keys => [], id => '{id}', exact => 1 },
    {   table  => 'event',
        keys   => [ 'event:{id}:{region}', 'region:{region}', 'kind:{kind}' ],
        id     => '{id}:{region}',
        exact  => 1,
        fields => ['stamp'] },
    { table => 'event', resource => 'happening', keys => ['happening:{id}'], id => '{id}', ignore => [ 'kind', 'stamp' ] },
    { table => 'tally', keys => ['tally:{note}'], id => '{id}', exact => 1, channel => '' });

# Tables with a TRUNCATE trigger, and the rules' table that each stands for.
my %truncated = (item => 'item', note => 'note', tally => 'tally', event => 'event', event_2 => 'event');
my @numeric = qw(stamp);    # fields that are numbers in JSON
my $place = qr/\{(\w+)\}/;
my %parts;

sub create_tables {
    my ($node, $database) = @_;
    my $file = dirname(__FILE__) . '/differential.sql';
    my $number = 0;
    my $sql = "\\i $file\n";
    for my $rule (@rules) {
        my $call = 'EXECUTE FUNCTION notify_cache_invalidation(' . join(', ', map { _quoted($_) } _arguments($rule)) . ");\n";
        my $name = 'cache_invalidation_' . ++$number;
        $sql .= "CREATE TRIGGER $name AFTER INSERT OR UPDATE OR DELETE ON $rule->{table} FOR EACH ROW $call";
        for my $table (grep { $truncated{$_} eq $rule->{table} } sort keys %truncated) {
            $sql .= "CREATE TRIGGER ${name}_truncate AFTER TRUNCATE ON $table FOR EACH STATEMENT $call";
        }
    }
    for my $table (sort keys %truncated) {
        my $call = "EXECUTE FUNCTION reference.note_change('$truncated{$table}');\n";
        $sql .= "CREATE TRIGGER reference AFTER INSERT OR UPDATE OR DELETE ON $table FOR EACH ROW $call"
          if $table eq $truncated{$table};
        $sql .= "CREATE TRIGGER reference_truncate AFTER TRUNCATE ON $table FOR EACH STATEMENT $call";
    }
    $node->safe_psql($database, $sql);
    return;
}

sub _quoted { return "'" . $_[0] =~ s/'/''/gr . "'" }

sub _arguments {
    my ($rule) = @_;
    return (
        (map { "key=$_" } @{ $rule->{keys} }),
        (map { "pattern=$_" } @{ $rule->{patterns} // [] }),
        ($rule->{exact} ? () : "id=$rule->{id}"),
        (map { "resource=$_" } grep { defined } $rule->{resource}),
        (map { "channel=$_" } grep { defined } $rule->{channel}),
        (map { my $list = $rule->{$_}; $list ? "$_=" . join(',', @$list) : () } qw(fields columns ignore)));
}

# Every key that the workload can make stale, and some that only patterns name.
sub possible_keys {
    my ($sessions) = @_;
    my %keys;
    for my $rule (@rules) {
        for my $template (@{ $rule->{keys} }, map { s/\*\z/cached/r } @{ $rule->{patterns} // [] }) {
            my @texts = ($template);
            while ($texts[0] =~ /$place/) {
                my $column = $1;
                my @values = CacheInvalidate::Workload::values_of($rule->{table}, $column, $sessions);
                @texts = map { my $text = $_; map { $text =~ s/\{$column\}/$_/r } @values } @texts;
            }
            @keys{@texts} = ();
        }
    }
    my @names = sort keys %keys;
    return @names;
}

# --- The reference

# The side table since it was last emptied: xid => [changes in their order], each with number, relation, operation, before, after.
sub recorded_changes {
    my ($node, $database) = @_;
    my %changes;
    my $rows = $node->safe_psql($database, <<~'EOT');
        \pset fieldsep '\t'
        SELECT xid, number, relation, operation, reference.row_text(before), reference.row_text(after)
          FROM reference.change ORDER BY number
        EOT
    for my $line (split /\n/, $rows) {
        my ($xid, $number, $relation, $operation, $before, $after) = split /\t/, $line, -1;
        push @{ $changes{$xid} },
          { number => $number, relation => $relation, operation => $operation, before => _row($before), after => _row($after) };
    }
    return \%changes;
}

sub _row {
    my ($text) = @_;
    return undef if $text eq '';
    my %row = split /\x1f/, $text, -1;
    return { map { ($_ => $row{$_} eq "\x1e" ? undef : $row{$_}) } keys %row };
}

# What the changes of one transaction make stale: {keys => {KEY => 1}, patterns => {GLOB => 1}, messages => {NAME => message}},
# a message with resource, channel, id, exact, distinct (its fields are those of no other transaction), number (of its first
# change), the operations in their order, and the fields.
sub effects_of {
    my ($changes) = @_;
    my $effects = { keys => {}, patterns => {}, messages => {} };
    for my $change (@$changes) {
        _add_effects($effects, $change, $_) for grep { $_->{table} eq $change->{relation} } @rules;
    }
    return $effects;
}

sub _add_effects {
    my ($effects, $change, $rule) = @_;
    my ($before, $after) = @$change{qw(before after)};
    if ($change->{operation} eq 'TRUNCATE') {
        $effects->{ /$place/ ? 'patterns' : 'keys' }{ _widened($_) } = 1 for @{ $rule->{keys} };
        $effects->{patterns}{s/$place/*/gr} = 1 for @{ $rule->{patterns} // [] };
        _add_message($effects, $change, $rule, '', 'TRUNCATE');
        return;
    }
    return if $before && $after && !_counts($rule, $before, $after);
    for my $row (grep { defined } $before, $after) {
        $effects->{keys}{$_} = 1 for grep { defined } map { _expanded($_, $row) } @{ $rule->{keys} };
        $effects->{patterns}{$_} = 1 for grep { defined } map { _expanded($_, $row, 1) } @{ $rule->{patterns} // [] };
    }
    my ($old, $new) = map { $_ && (_expanded($rule->{id}, $_) // '') } $before, $after;
    if (defined $old && defined $new && $old ne '' && $old ne $new) {
        _add_message($effects, $change, $rule, $old, 'DELETE', $before);
        _add_message($effects, $change, $rule, $new, 'INSERT', $after);
        return;
    }
    # A record that had no id before may be any.
    _add_message($effects, $change, $rule, '', 'UPDATE') if defined $old && defined $new && $old eq '';
    _add_message($effects, $change, $rule, $new // $old, $change->{operation}, $after // $before);
    return;
}

# Does this UPDATE count?
sub _counts {
    my ($rule, $before, $after) = @_;
    my %ignored = map { ($_ => 1) } @{ $rule->{ignore} // [] };
    my @columns = $rule->{columns} ? @{ $rule->{columns} } : grep { !$ignored{$_} } keys %$before;
    return 1 if grep { ($before->{$_} // "\x1e") ne ($after->{$_} // "\x1e") } @columns;
    return UNCHANGED_UPDATE_IS_SENT && !$rule->{columns} && !$rule->{ignore};
}

sub _escaped { return $_[0] =~ s/([*?\[\]\\])/\\$1/gr }
sub _widened { return $_[0] =~ /$place/ ? join '*', map { _escaped($_) } split /\{\w+\}/, $_[0], -1 : $_[0] }

# undef: a NULL is in it.
sub _expanded {
    my ($template, $row, $is_glob) = @_;
    my ($text, @parts) = @{ $parts{$template} //= [ split $place, $template, -1 ] };    # literals, and between them columns
    while (@parts) {
        my $value = $row->{ shift @parts } // return undef;
        $text .= ($is_glob ? _escaped($value) : $value) . shift @parts;
    }
    return $text;
}

sub _add_message {
    my ($effects, $change, $rule, $id, $operation, $row) = @_;
    my $resource = $rule->{resource} // $rule->{table};
    return if defined $rule->{channel} && $rule->{channel} eq '';
    my $message = $effects->{messages}{"$resource $id"} //= {
        resource => $resource,
        channel  => $rule->{channel},
        id       => $id,
        exact    => $rule->{exact},
        distinct => scalar(grep { $_ eq 'stamp' } @{ $rule->{fields} // [] }),
        number   => $change->{number},
        operations => []
    };
    push @{ $message->{operations} }, $id eq '' && $operation ne 'TRUNCATE' ? 'UPDATE' : $operation;
    $message->{fields} = $id eq '' ? '' : join ',', map { _field($_, $row->{$_}) } @{ $rule->{fields} // [] };
    return;
}

sub _field {
    my ($name, $value) = @_;
    return qq("$name":null) unless defined $value;
    return qq("$name":$value) if grep { $_ eq $name } @numeric;
    return qq("$name":") . $value =~ s/(["\\])/\\$1/gr . '"';
}

# The net effect of operations on one record, undef: none. What has no id says the last of it; an id that may name several
# records says UPDATE when they were of different kinds.
sub fold {
    my ($message) = @_;
    my @operations = @{ $message->{operations} };
    return $operations[-1] if $message->{id} eq '';
    my $before = $operations[0] ne 'INSERT';
    my $after  = $operations[-1] ne 'DELETE';
    if (!$message->{exact}) {
        my %kinds = map { ($_ => 1) } @operations;
        return keys %kinds > 1 ? 'UPDATE' : $operations[0];
    }
    return $before ? ($after ? 'UPDATE' : 'DELETE') : ($after ? 'INSERT' : undef);
}

# --- The journal

# The effects as sql/include/journal.sql would write them, in order.
sub _expected_lines {
    my ($effects, $without_fields) = @_;
    my @lines = map { "$_ -> cache" } (map { "key $_" } keys %{ $effects->{keys} }), map { "pattern $_" } keys %{ $effects->{patterns} };
    for my $message (values %{ $effects->{messages} }) {
        my $operation = fold($message) // next;
        my $channel = defined $message->{channel} ? qq( on channel "$message->{channel}") : '';
        my $fields = $without_fields ? '' : " {$message->{fields}}";
        push @lines, qq(record $message->{resource}$channel $operation "$message->{id}"$fields);
    }
    @lines = sort @lines;
    return @lines;
}

# xid => [[time, line]...] of what stands in the journal, in the order in which each transaction wrote it.
sub _journal_lines {
    my ($node, $database) = @_;
    my %lines;
    my $rows = $node->safe_psql($database, <<~'EOT');
        \pset fieldsep '\t'
        SELECT n.number, encode(substring(j.batch FROM n.place + 1 FOR 8), 'hex'), i.item
          FROM (SELECT 0 AS segment, ctid AS place, batch FROM cache_invalidation_journal_0
                UNION ALL SELECT 1, ctid, batch FROM cache_invalidation_journal_1) j,
               journal.read_number(j.batch, 1) n, journal.items(j.batch) WITH ORDINALITY AS i (item, number)
         ORDER BY j.segment, j.place, i.number
        EOT
    for my $line (split /\n/, $rows) {
        my ($xid, $time, $item) = split /\t/, $line, 3;
        push @{ $lines{$xid} }, [ unpack('Q<', pack 'H*', $time), $item ];
    }
    $_ = [ sort { $a->[0] <=> $b->[0] } @$_ ] for values %lines;
    return \%lines;
}

# Was the transaction written in several parts, as it is when it outgrows its memory?
sub _is_in_parts {
    my ($lines) = @_;
    my %times = map { ($_->[0] => 1) } @$lines;
    return keys %times > 1;
}

# The lines in order. Of several parts each key once, and the messages of a record as their net effect, without fields.
sub _folded_lines {
    my ($lines) = @_;
    my @folded = map { $_->[1] } @$lines;
    if (_is_in_parts($lines)) {
        my (%once, %messages);
        for (@folded) {
            if (/^record (\S+)(?: on channel "(.*?)")? ([A-Z]+) "(.*)" \{.*\}\z/s) {
                my $message = $messages{"$1 $4"} //= { resource => $1, channel => $2, id => $4, exact => _is_exact($1), operations => [] };
                push @{ $message->{operations} }, $3;
            } else {
                $once{$_} = 1;
            }
        }
        @folded = (keys %once, _expected_lines({ messages => \%messages }, 1));
    }
    @folded = sort @folded;
    return @folded;
}

sub _is_exact {
    my ($resource) = @_;
    return scalar grep { $_->{exact} && ($_->{resource} // $_->{table}) eq $resource } @rules;
}

# Compares what the journal says with what happened. Returns the number of transactions, of those in parts, and what is wrong.
sub journal_differences {
    my ($node, $database) = @_;
    my ($recorded, $written) = (recorded_changes($node, $database), _journal_lines($node, $database));
    my %all = (%$recorded, %$written);
    my ($transactions, $parts, @wrong) = (0, 0);
    for my $xid (sort { $a <=> $b } keys %all) {
        my $lines = $written->{$xid} // [];
        my $in_parts = _is_in_parts($lines);
        my %surplus;
        $surplus{$_}++ for _folded_lines($lines);
        $transactions++ if %surplus;
        $parts++ if $in_parts;
        $surplus{$_}-- for _expected_lines(effects_of($recorded->{$xid} // []), $in_parts);
        push @wrong, map { "transaction $xid " . ($surplus{$_} > 0 ? 'has' : 'lacks') . " $_" } grep { $surplus{$_} } sort keys %surplus;
    }
    return ($transactions, $parts, @wrong);
}

1;
