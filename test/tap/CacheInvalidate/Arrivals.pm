# Compares what arrived after a round of the differential test, keys and messages, with what the reference says.
package CacheInvalidate::Arrivals;

use strict;
use warnings;

use Exporter 'import';

use CacheInvalidate::Differential qw(effects_of fold);

our @EXPORT_OK = qw(expected_arrivals stale_keys message_of missing_messages message_differences wrong_existence);

# Whether messages of prepared transactions keep their place among those of the same record. The worker finds such a
# transaction only some time after COMMIT PREPARED.
use constant PREPARED_KEEP_ORDER => 0;

# From recorded_changes(), and {XID => 1} of prepared transactions: {keys => {KEY => 1}, patterns => {GLOB => 1}, records => {NAME => {XID => message}},
# unordered => {XID => 1}}, the messages with their net effect as operation. NAME is resource and id.
sub expected_arrivals {
    my ($recorded, $prepared) = @_;
    my $expected = { keys => {}, patterns => {}, records => {}, unordered => PREPARED_KEEP_ORDER ? {} : $prepared };
    for my $xid (keys %$recorded) {
        my $effects = effects_of($recorded->{$xid});
        for my $kind (qw(keys patterns)) {
            $expected->{$kind}{$_} = 1 for keys %{ $effects->{$kind} };
        }
        while (my ($name, $message) = each %{ $effects->{messages} }) {
            my $operation = fold($message) // next;
            $expected->{records}{$name}{$xid} = { %$message, operation => $operation };
        }
    }
    return $expected;
}

# Those of the keys that must be gone.
sub stale_keys {
    my ($expected, @keys) = @_;
    my @globs = map { _glob_pattern($_) } keys %{ $expected->{patterns} };
    my $globs = @globs ? join '|', @globs : '(?!)';
    return grep { $expected->{keys}{$_} || /\A(?:$globs)\z/s } @keys;
}

# Of Redis' globs what the templates can give: stars and escaped characters.
sub _glob_pattern {
    my ($glob) = @_;
    return $glob =~ s/\\(.)|(\*)|(.)/ $2 ? '.*' : quotemeta($1 \/\/ $3) /gesr;
}

# What Listener gives, as {name, xid, operation, fields}.
sub message_of {
    my ($heard) = @_;
    my $message = $heard->{message};
    my ($fields) = $heard->{text} =~ /\A\{"table":"[^"]*","operation":"[A-Z]+"(?:,"record_id":"(?:[^"\\]|\\.)*")?(?:,(.*))?,"timestamp":/s;
    return {
        name      => "$message->{table} " . ($message->{record_id} // ''),
        xid       => $message->{batch_id},
        operation => $message->{operation},
        fields    => $fields // ''
    };
}

# {NAME => {XID => {operations, contents, fields, first, last}}} of the messages, the places counted among those of that name.
sub _by_record {
    my ($messages) = @_;
    my (%records, %places);
    for my $message (@$messages) {
        my $place = $places{ $message->{name} }++;
        my $one = $records{ $message->{name} }{ $message->{xid} } //= { operations => [], first => $place };
        push @{ $one->{operations} }, $message->{operation};
        $one->{contents}{ _content($message) } = 1;
        @$one{qw(last fields)} = ($place, $message->{fields});
    }
    return \%records;
}

# Names and transactions of which nothing arrived. A message may be missing when an equal one of another transaction came
# for it; of a record a later one, if the order is known.
sub missing_messages {
    my ($expected, $messages) = @_;
    my $arrived = _by_record($messages);
    my @missing;
    for my $name (keys %{ $expected->{records} }) {
        my ($due, $came) = ($expected->{records}{$name}, $arrived->{$name} // {});
        my %newest;
        my $is_ordered = _is_ordered($expected, $name, $came);
        for my $xid (keys %$came) {
            my $number = $is_ordered && $due->{$xid} && $due->{$xid}{exact} ? $due->{$xid}{number} : 9**9**9;
            for my $content (keys %{ $came->{$xid}{contents} }) {
                $newest{$content} = $number if $number > ($newest{$content} // 0);
            }
        }
        push @missing, map { "$name $_ $due->{$_}{operation}" }
          grep { !$came->{$_} && ($newest{ _content($due->{$_}) } // 0) < $due->{$_}{number} } keys %$due;
    }
    return @missing;
}

sub _content { return "$_[0]{operation} {$_[0]{fields}}" }

# Is the order of all the transactions known that say something of the record?
sub _is_ordered {
    my ($expected, $name, $came) = @_;
    return !grep { $expected->{unordered}{$_} } keys %$came, keys %{ $expected->{records}{$name} // {} };
}

# Records of these resources whose last message does not say whether they are in `there`.
sub wrong_existence {
    my ($expected, $messages, $there, @resources) = @_;
    my $arrived = _by_record($messages);
    my %last = map { ($_->{name} => $_->{operation}) } @$messages;
    my %wanted = map { ($_ => 1) } @resources;
    my @records = grep { /^(\w+) (.+)/ && $wanted{$1} && _is_ordered($expected, $_, $arrived->{$_}) } sort keys %last;
    return grep { !$there->{$_} != ($last{$_} eq 'DELETE') } @records;
}

# What is wrong with the messages that arrived: of no committed change, of another effect, or in another order than that of
# the commits. The order can be told of ids that name one record: whoever changes it holds its lock until the commit is over.
# in_parts => a transaction may have sent its messages in several parts; repeated => a message may have come again.
sub message_differences {
    my ($expected, $messages, %options) = @_;
    my $arrived = _by_record($messages);
    my @wrong;
    for my $name (sort keys %$arrived) {
        my ($due, $came) = ($expected->{records}{$name} // {}, $arrived->{$name});
        for my $xid (sort { $a <=> $b } keys %$came) {
            my $should = $due->{$xid};
            # A part that equals a message of another transaction may have become one with it.
            next if $options{in_parts} && $should && !$should->{distinct};
            my $is = $options{in_parts} ? _net($came->{$xid}, $should) : _plain($came->{$xid}, $options{repeated});
            my $wanted = !$should ? '' : $options{in_parts} ? $should->{operation} : _content($should);
            push @wrong, "$name: transaction $xid sent $is, not " . ($wanted || 'nothing') if $is ne $wanted;
        }
        push @wrong, _order_differences($name, $due, $came, $expected->{unordered}, $options{repeated} ? 'last' : 'first');
    }
    return @wrong;
}

# What one transaction said of a record, its parts taken together, or word by word.
sub _net {
    my ($came, $should) = @_;
    return fold({ exact => 1, id => 'any', %{ $should // {} }, operations => $came->{operations} }) // '';
}

sub _plain {
    my ($came, $repeated) = @_;
    my @operations = @{ $came->{operations} };
    @operations = ($operations[0]) if $repeated && !grep { $_ ne $operations[0] } @operations;
    return "@operations {$came->{fields}}";
}

sub _order_differences {
    my ($name, $due, $came, $unordered, $place) = @_;
    my @known = grep { $due->{$_} && $due->{$_}{exact} && !$unordered->{$_} } keys %$came;
    my @xids = sort { $due->{$a}{number} <=> $due->{$b}{number} } @known;
    return map { "$name: " . join(' before ', map { "$due->{$_}{operation} of transaction $_" } @xids[ $_, $_ - 1 ]) }
      grep { $came->{ $xids[ $_ - 1 ] }{last} > $came->{ $xids[$_] }{$place} } 1 .. $#xids;
}

1;
