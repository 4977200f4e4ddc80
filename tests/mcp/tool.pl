#!/usr/bin/perl
# A tool that is a program: a line of JSON in, a line of JSON out, as its first argument says. Perl is on every machine
# that has Debian's base; nothing beside it is needed.
use strict;
use warnings;
$| = 1;
my $mode = shift // 'counts';
my $calls = 0;

print STDERR "tool.pl begins as $mode\n";
# It shall not die with its parent (`PR_SET_PDEATHSIG` of x86-64), and does not go when its input ends.
syscall(157, 1, 0) if $mode =~ /^stays/;
if ($mode eq 'deaf' && !-e '/work/deaf') { open(my $f, '>', '/work/deaf'); sleep 60; }
while (my $line = <STDIN>) {
    my ($id) = $line =~ /"id":("[^"]*")/;
    my ($text) = $line =~ /"text":"([^"]*)"/;
    next unless defined $id;
    $calls++;
    exit 7 if $mode eq 'dies';
    next if $mode eq 'silent';
    # Each child works for half a second, and nobody waits for it.
    if ($mode eq 'breeds') {
        $SIG{CHLD} = 'IGNORE';
        while (defined(my $child = fork)) {
            if (!$child) { 1 while (times)[0] < 0.5; exit 0; }
            select(undef, undef, undef, 0.02) while kill 0, $child;
        }
    }
    if ($mode eq 'refuses') { print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32602,\"message\":\"no text of mine\"}}\n"; next; }
    if ($mode eq 'fails') { print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32000,\"message\":\"the dictionary is gone\"}}\n"; next; }
    print "counting\n" if $mode eq 'logs';
    if ($mode eq 'tells') {
        my ($token) = $line =~ /"progressToken":("[^"]*")/;
        my $note = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":%d,"total":2,"message":"%s"}}' . "\n";
        printf($note, $token, 1, 'half of it');
        printf($note, '"another"', 7, 'not ours');
        printf($note, $token, 2, 'all of it');
    }
    my $words = () = $text =~ /\S+/g;
    $words = '"two"' if $mode eq 'lies';
    print "{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"words\":$words,\"calls\":$calls}}\n";
    exit 0 if $mode eq 'leaves';
}
sleep 1 while $mode =~ /^stays/;
